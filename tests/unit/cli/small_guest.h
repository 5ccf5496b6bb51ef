// A guest of a few hundred bytes that does what it is told over the serial line, one letter at a time, and a file with
// it that boots by PVH.
//
//   at boot it prints "B"          +  counts in memory and prints the digit      r  resets the machine
//   a  prints "A" when the power   p  powers off by ACPI                         t  triple fault
//      button was pressed          x  executes LOCK CMPXCHG16B, prints "X"
#pragma once

#include <string>
#include <vector>

#include "base/types.h"

namespace vireo::cli {

/// An ELF file with a PVH note around the guest.
std::vector<u8> small_guest();

void write_file(const std::string& path, const std::vector<u8>& bytes);

}  // namespace vireo::cli
