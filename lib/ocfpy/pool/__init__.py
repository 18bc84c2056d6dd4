"""The pool as pure code: its configuration, the verdicts on its servers, their placement, drains and ramps."""
