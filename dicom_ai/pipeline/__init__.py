"""The flow, one module per step, none imports another: receive, complete, route, analyse, report, send."""
