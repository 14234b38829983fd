"""The adapters: JSON objects and HTTP answers on one side, the core's words on the other. They decide nothing."""
