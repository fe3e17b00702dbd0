"""CREMA-D: six emotions, acted by 91 people, seen and heard."""
