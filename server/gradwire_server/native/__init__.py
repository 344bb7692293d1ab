"""What LLVM compiles, where llvmlite is installed (`gradwire[jit]`): steps of fusions, updates of small parameters."""
