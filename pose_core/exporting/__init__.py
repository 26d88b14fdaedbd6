"""Export trained models into folders that other programs predict from."""
