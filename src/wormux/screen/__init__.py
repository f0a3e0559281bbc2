"""The emulators behind the panes: what a program drew, exactly."""
