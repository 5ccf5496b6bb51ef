// Internal snapshots ("Snapshots"): each is an L1 table of its own, and counts every cluster it reaches once more.
//
// Order: the flags that allow writing in place go first, then counts are raised, then the header's one sector switches
// over, then counts are lowered, then flags come back. A cut in between leaves counts that are too high or flags that
// are missing, both harmless; version 3 is marked dirty meanwhile, so that it is repaired when it is opened.
#pragma once

#include <string>
#include <vector>

#include "block/qcow2/tables.h"

namespace vireo::block::qcow2 {

/// The datasheet's names.
struct Snapshot {
  u64 l1_table_offset = 0;
  u32 l1_size = 0;
  std::string id, name;
  u32 date_sec = 0, date_nsec = 0;
  u64 vm_clock_nsec = 0;
  u64 vm_state_size = 0;  ///< bytes
  u64 disk_size = 0;      ///< bytes
  std::vector<u8> more;   ///< extra data that we do not know
};

Result<std::vector<Snapshot>> read_snapshots(Tables& tables);
/// How many bytes their table takes.
Result<u64> snapshot_table_bytes(Tables& tables);
const Snapshot* find_snapshot(const std::vector<Snapshot>& snapshots, const std::string& id_or_name);

Result<> create_snapshot(Tables& tables, const std::string& name);
Result<> apply_snapshot(Tables& tables, const std::string& id_or_name);
Result<> delete_snapshot(Tables& tables, const std::string& id_or_name);

/// An L1 table's entries from the file; Usage when it cannot be one.
Result<std::vector<u64>> read_l1(Tables& tables, u64 offset, u32 entries);

}  // namespace vireo::block::qcow2
