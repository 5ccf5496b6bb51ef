// The header where it is in use: the fields in memory and how they get to the file.
#pragma once

#include "block/qcow2/header.h"

namespace vireo::block::qcow2 {

struct HeaderFile {
  Storage& file;
  Header header = {};
  /// It is not known which header the file has: nothing more may be written to it.
  bool broken = false;

  /// Writes the fields: one sector, which is there wholly or not at all. Not durable yet.
  Io<> write() {
    std::array<u8, 512> sector{};
    TRY(file.read(0, sector));
    patch_header(header, sector);
    return file.write(0, std::span<const u8>(sector));
  }
  /// Everything before, then the fields, both durable: nothing that the header names is missing, whatever is cut.
  Io<> switch_over() {
    TRY(file.flush());
    auto written = write();
    if (written) written = file.flush();
    broken = !written;
    return written;
  }
  /// The host's bytes for a table or a cluster, as zeroes.
  Io<> clear(u64 offset, u64 bytes) { return file.write_zeroes(offset, bytes, true); }
};

}  // namespace vireo::block::qcow2
