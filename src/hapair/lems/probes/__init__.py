"""What is asked of an application, one module for each way of asking."""
