"""The demo: the main job on real parts, from provisioning to home."""
