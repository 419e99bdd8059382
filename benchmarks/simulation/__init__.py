"""Many cameras in virtual time: the real hosts, links, batcher and join; kernels take their measured times."""
