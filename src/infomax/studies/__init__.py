"""The paper's tables and figures, and the demo: each a function from a budget to numbers, figures and a page."""
