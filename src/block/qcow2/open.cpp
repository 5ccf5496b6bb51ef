#include "block/api/status.h"
#include "block/qcow2/check.h"
#include "block/qcow2/disk.h"

namespace vireo::block::qcow2 {

Result<> Qcow2Disk::start() {
  const auto refuse = [&](Status status, std::string_view what) {
    return fail(ErrorKind::Failed, "cannot {} {}: {}", what, file().name(), describe(status));
  };
  if (auto loaded = tables_.load(); !loaded) return refuse(loaded.error(), "read the tables of");
  if (parts_.read_only || parts_.keep_dirty) return {};
  if ((header().incompatible_features & incompatible::Corrupt) != 0) {
    return fail(ErrorKind::Denied,
                "{} is marked corrupt; repair it with \"vireo image check --repair all\", or open "
                "it read-only",
                file().name());
  }
  if (header().dirty()) TRY(repair(*this, Repair::All));
  auto& fields = tables_.header_file().header;
  // What changes the disk and does not know these must say so.
  if (const u64 known = fields.autoclear_features & autoclear::RawDataFile; known != fields.autoclear_features) {
    fields.autoclear_features = known;
    if (auto done = tables_.header_file().switch_over(); !done) return refuse(done.error(), "write the header of");
  }
  return {};
}

Result<std::unique_ptr<Qcow2>> Qcow2::open(const Header& header, Parts parts) {
  if (parts.file->alignment() > 512) {
    return fail(ErrorKind::Usage, "direct I/O needs {} bytes at a time on the storage of {}; choose cache=writeback",
                parts.file->alignment(), parts.file->name());
  }
  auto disk = std::make_unique<Qcow2Disk>(header, std::move(parts));
  TRY(disk->start());
  return disk;
}

}  // namespace vireo::block::qcow2
