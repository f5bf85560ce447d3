"""What tests share: graphs of imports, fakes."""
