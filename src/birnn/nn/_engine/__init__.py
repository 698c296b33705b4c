"""The one path from a tensor to a kernel: native on the CPU, torch's own elsewhere."""
