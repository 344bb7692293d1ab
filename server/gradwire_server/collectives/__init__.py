"""What the workers of a group do together: sums, copies and joins of tensors, by gloo or NCCL."""
