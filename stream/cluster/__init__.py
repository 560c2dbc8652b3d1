"""Who watches which camera, where several instances share the cameras: placement, leases, shards, Ray."""
