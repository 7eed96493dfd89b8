"""What a network would do on named parts."""
