"""Charts as SVG text: values in, a `Picture` out. Only `built` and `sampled` use Pulser; no matplotlib, no effects."""
