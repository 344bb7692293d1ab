"""Steps of a fusion compiled to machine code by LLVM, where llvmlite is installed (`gradwire[jit]`)."""
