#include "block/qcow2/check.h"

#include <algorithm>

#include "base/bytes.h"
#include "block/api/status.h"
#include "block/qcow2/rebuild.h"
#include "block/qcow2/reference_counter.h"

namespace vireo::block::qcow2 {
namespace {

constexpr std::size_t kMaxMessages = 20;

class Checker {
 public:
  Checker(Qcow2& image, const Progress& progress)
      : tables_(image.tables()),
        header_(image.header()),
        name_(image.file().name()),
        // A cluster beyond is nobody's yet, but no entry may name one far away.
        file_clusters_(header_.clusters_for(image.file().size())),
        progress_(progress) {}

  Result<> count();
  Result<> compare();
  /// Entries make sense, so what was counted is true.
  bool countable() const { return nonsense_ == 0; }
  const ReferenceCounter& references() const { return references_; }
  CheckResult& result() { return result_; }

 private:
  void nonsense(const std::string& what) {
    ++nonsense_;
    corruption(what);
  }
  void corruption(const std::string& what) {
    ++result_.corruptions;
    if (result_.messages.size() < kMaxMessages) result_.messages.push_back(what);
  }
  std::unexpected<Error> cannot_read(Status status) const {
    return fail(ErrorKind::Failed, "cannot read {}: {}", name_, describe(status));
  }
  bool place(u64 offset) const {
    return (offset & (header_.cluster_size() - 1)) == 0 && offset >> header_.cluster_bits < file_clusters_;
  }
  void count_refcount_structures();
  Result<> count_table(std::span<const u64> l1, bool active);
  Result<> count_l2(u64 l2, u64 first_index, bool active);
  void count_cluster(const Cluster& cluster, u64 index, bool active);

  Tables& tables_;
  const Header& header_;
  const std::string name_;
  const u64 file_clusters_;
  const Progress progress_;
  ReferenceCounter references_;
  CheckResult result_;
  u64 nonsense_ = 0;
  u64 expected_host_ = 0;
};

void Checker::count_refcount_structures() {
  references_.add(0);
  references_.add_range(header_.refcount_table_offset, u64{header_.refcount_table_clusters} << header_.cluster_bits,
                        header_.cluster_bits);
  for (u64 i = 0; i < tables_.refcounts().table_entries(); ++i) {
    const u64 block = tables_.refcounts().block_at(i);
    if (block == 0) continue;
    if (!place(block)) {
      corruption(fmt::format("refcount block {} cannot be at {:#x}", i, block));
    } else {
      references_.add(block >> header_.cluster_bits);
    }
  }
}

void Checker::count_cluster(const Cluster& cluster, u64 index, bool active) {
  if (!cluster.compressed && !cluster.allocated) return;
  const u64 bytes = cluster.compressed ? cluster.compressed_bytes : header_.cluster_size();
  if (active && (cluster.data != 0 || cluster.compressed)) {
    ++result_.clusters;
    if (cluster.compressed) ++result_.compressed;
    if (cluster.compressed || (expected_host_ != 0 && cluster.host != expected_host_)) ++result_.fragmented;
    if (!cluster.compressed) expected_host_ = cluster.host + header_.cluster_size();
  }
  if (header_.has_data_file()) return;
  if (cluster.host >> header_.cluster_bits >= file_clusters_ + kMiB / header_.cluster_size() + 2) {
    return nonsense(fmt::format("cluster {} of the disk cannot be at {:#x}", index, cluster.host));
  }
  references_.add_range(cluster.host, bytes, header_.cluster_bits);
}

Result<> Checker::count_l2(u64 l2, u64 first_index, bool active) {
  std::vector<u8> bytes(header_.cluster_size());
  if (auto read = tables_.file().read(l2, bytes); !read) return cannot_read(read.error());
  const u32 size = header_.l2_entry_size();
  for (u64 i = 0; i < header_.l2_entries(); ++i) {
    const auto cluster = decode(header_, std::span<const u8>(bytes).subspan(i * size, size));
    if (cluster) {
      count_cluster(*cluster, first_index + i, active);
    } else {
      nonsense(fmt::format("the entry of the disk's cluster {} cannot be", first_index + i));
    }
  }
  return {};
}

Result<> Checker::count_table(std::span<const u64> l1, bool active) {
  for (u64 i = 0; i < l1.size(); ++i) {
    if (progress_ && active) progress_(i, l1.size());
    const u64 l2 = l1[i] & kOffsetMask;
    if (l2 == 0) continue;
    if (!place(l2)) {
      nonsense(fmt::format("L2 table {} cannot be at {:#x}", i, l2));
      continue;
    }
    references_.add(l2 >> header_.cluster_bits);
    TRY(count_l2(l2, i * header_.l2_entries(), active));
  }
  return {};
}

Result<> Checker::count() {
  count_refcount_structures();
  result_.total_clusters = header_.clusters_for(header_.size);
  references_.add_range(header_.l1_table_offset, u64{header_.l1_size} * 8, header_.cluster_bits);
  TRY(count_table(tables_.mapping().l1(), true));
  TRY_ASSIGN(const auto snapshots, read_snapshots(tables_));
  if (header_.nb_snapshots > 0) {
    u64 bytes = 0;
    TRY_ASSIGN(bytes, snapshot_table_bytes(tables_));
    references_.add_range(header_.snapshots_offset, bytes, header_.cluster_bits);
  }
  for (const auto& snapshot : snapshots) {
    references_.add_range(snapshot.l1_table_offset, u64{snapshot.l1_size} * 8, header_.cluster_bits);
    TRY_ASSIGN(const auto l1, read_l1(tables_, snapshot.l1_table_offset, snapshot.l1_size));
    TRY(count_table(l1, false));
  }
  result_.end_offset = references_.end() << header_.cluster_bits;
  return {};
}

Result<> Checker::compare() {
  auto& refcounts = tables_.refcounts();
  std::optional<Status> failed;
  references_.each([&](u64 cluster, u64 count) {
    const auto counted = refcounts.get(cluster);
    if (!counted) {
      failed = counted.error();
    } else if (*counted < count) {
      corruption(fmt::format("cluster {} of the file is used {} times and counted {}", cluster, count, *counted));
    }
  });
  const u64 entries = header_.refcount_block_entries();
  for (u64 index = 0; index < refcounts.table_entries(); ++index) {
    if (refcounts.block_at(index) == 0 || !place(refcounts.block_at(index))) continue;
    for (u64 cluster = index * entries; cluster < (index + 1) * entries; ++cluster) {
      const auto counted = refcounts.get(cluster);
      if (!counted) {
        failed = counted.error();
        break;
      }
      if (*counted > references_.get(cluster)) ++result_.leaks;
    }
  }
  if (failed && *failed != Status::IoError) return cannot_read(*failed);
  // Flags are the active tables' alone.
  for (const u64 entry : tables_.mapping().l1()) {
    const u64 l2 = entry & kOffsetMask;
    if (l2 == 0 || !place(l2)) continue;
    const auto check_flag = [&](u64 host, bool copied, std::string_view what) {
      const auto counted = refcounts.get(host >> header_.cluster_bits);
      if (!counted) return;
      if (copied && *counted != 1) {
        corruption(fmt::format("{} at {:#x} is shared and would be written in place", what, host));
      } else if (!copied && *counted == 1) {
        ++result_.missing_flags;
      }
    };
    check_flag(l2, (entry & kCopied) != 0, "the L2 table");
    std::vector<u8> bytes(header_.cluster_size());
    if (auto read = tables_.file().read(l2, bytes); !read) return cannot_read(read.error());
    const u32 size = header_.l2_entry_size();
    for (u64 i = 0; i < header_.l2_entries(); ++i) {
      const auto cluster = decode(header_, std::span<const u8>(bytes).subspan(i * size, size));
      if (!cluster || !cluster->allocated || header_.has_data_file()) continue;
      check_flag(cluster->host, cluster->copied, "the cluster");
    }
  }
  return {};
}

Result<> flush_all(Qcow2& image) {
  if (auto done = image.tables().finish(); !done) {
    return fail(ErrorKind::Failed, "cannot write {}: {}", image.file().name(), describe(done.error()));
  }
  return {};
}

}  // namespace

Result<CheckResult> check(Qcow2& image, const Progress& progress) {
  if (!image.file().read_only() && image.tables().dirty()) TRY(flush_all(image));
  Checker checker(image, progress);
  TRY(checker.count());
  TRY(checker.compare());
  return checker.result();
}

Result<> repair(Qcow2& image, Repair what) {
  Checker checker(image, {});
  TRY(checker.count());
  if (!checker.countable()) {
    return fail(ErrorKind::WrongState, "{} has tables that make no sense and cannot be repaired: {}",
                image.file().name(), checker.result().messages.front());
  }
  TRY(checker.compare());
  if (what == Repair::Leaks && checker.result().corruptions != 0) {
    return fail(ErrorKind::WrongState, "{} has more wrong with it than leaks; repair all", image.file().name());
  }
  const auto done = rebuild_refcounts(image.tables(), checker.references());
  if (!done) {
    return fail(ErrorKind::Failed, "cannot repair {}: {}", image.file().name(), describe(done.error()));
  }
  return {};
}

}  // namespace vireo::block::qcow2
