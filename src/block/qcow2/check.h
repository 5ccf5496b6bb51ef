// Is a qcow2 file sound? Every reference is counted and compared with what the refcount blocks say.
//
// Repairing writes all refcounts anew, beside the old ones, and switches the header over to them; then it puts the
// flags right that allow writing in place. A cut leaves the image as it was, or repaired but for missing flags.
#pragma once

#include "block/qcow2/qcow2.h"

namespace vireo::block::qcow2 {

struct CheckResult {
  u64 corruptions = 0;     ///< an entry that cannot be, or a cluster that is used more often than it is counted
  u64 leaks = 0;           ///< clusters that are counted more often than they are used
  u64 missing_flags = 0;   ///< clusters that could be written in place and are not marked so: harmless
  u64 clusters = 0;        ///< of the disk, that have data
  u64 total_clusters = 0;  ///< of the disk
  u64 compressed = 0, fragmented = 0;  ///< clusters of the disk
  u64 end_offset = 0;                  ///< bytes: the end of what is in use in the file
  std::vector<std::string> messages;   ///< the first of what is wrong
};

enum class Repair : u8 { Leaks, All };

/// Called with what is done and what there is to do, in the same unit.
using Progress = std::function<void(u64 done, u64 total)>;

/// While no request is under way. Errors: Failed when it cannot be read.
Result<CheckResult> check(Qcow2& image, const Progress& progress = {});
/// Leaks: only what is counted too often, and only where nothing else is wrong. Entries that cannot be are not
/// repaired: what they meant is not known. WrongState when such things are left.
Result<> repair(Qcow2& image, Repair what);

}  // namespace vireo::block::qcow2
