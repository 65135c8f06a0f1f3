"""Data: the shard format, the building of shards and the reading of them."""
