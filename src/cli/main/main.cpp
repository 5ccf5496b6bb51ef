#include "cli/commands.h"

int main(int argc, char** argv) { return vireo::cli::main(argc, argv); }
