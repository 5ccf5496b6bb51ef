#include "block/qcow2/rebuild.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"

namespace vireo::block::qcow2 {
namespace {

/// One refcount block, in memory.
class Block {
 public:
  explicit Block(const Header& header) : header_(header), bytes_(header.cluster_size()) {}
  void put(u64 entry, u64 count) {
    const u64 bits = u64{1} << header_.refcount_order;
    if (bits < 8) {
      bytes_[entry * bits / 8] = static_cast<u8>(bytes_[entry * bits / 8] | count << (entry * bits % 8));
      return;
    }
    u8 wide[8];
    store_be(wide, count << (64 - bits));
    std::copy_n(wide, bits / 8, bytes_.begin() + static_cast<std::ptrdiff_t>(entry * bits / 8));
  }
  std::span<const u8> bytes() const { return bytes_; }

 private:
  const Header& header_;
  std::vector<u8> bytes_;
};

}  // namespace

Io<> rebuild_refcounts(Tables& tables, const ReferenceCounter& references) {
  const Header& header = tables.header();
  const u64 entries = header.refcount_block_entries(), per_table_cluster = header.cluster_size() / 8;
  // What the old structures take is free once the header has switched over.
  std::set<u64> old;
  for (u64 i = 0; i < header.refcount_table_clusters; ++i) {
    old.insert((header.refcount_table_offset >> header.cluster_bits) + i);
  }
  for (u64 i = 0; i < tables.refcounts().table_entries(); ++i) {
    if (const u64 block = tables.refcounts().block_at(i); block != 0) old.insert(block >> header.cluster_bits);
  }
  std::map<u64, std::map<u64, u64>> counts;  // block -> entry -> count
  bool overflow = false;
  references.each([&](u64 cluster, u64 count) {
    if (old.contains(cluster) && --count == 0) return;
    overflow = overflow || count > header.max_refcount();
    counts[cluster / entries][cluster % entries] = count;
  });
  if (overflow) return std::unexpected(Status::Unsupported);
  // The new ones go behind everything, and count themselves.
  const u64 start = std::max(references.end(), header.clusters_for(tables.file().grows() ? tables.file().size() : 0));
  u64 table_clusters = 0, blocks = 0;
  for (bool more = true; more;) {
    const u64 last = start + table_clusters + blocks;
    std::set<u64> needed;
    for (const auto& [index, unused] : counts) needed.insert(index);
    for (u64 cluster = start; cluster < last; ++cluster) needed.insert(cluster / entries);
    const u64 table = (std::max(*needed.rbegin() + 1, u64{1}) + per_table_cluster - 1) / per_table_cluster;
    // Also what keeps a place far away, which only a hostile file has, from making this endless.
    if (table << header.cluster_bits > kMaxRefcountTableBytes) return std::unexpected(Status::NoSpace);
    more = needed.size() != blocks || table != table_clusters;
    blocks = std::max<u64>(blocks, needed.size());
    table_clusters = std::max(table_clusters, table);
    if (needed.size() < blocks) more = false;
  }
  for (u64 cluster = start; cluster < start + table_clusters + blocks; ++cluster) {
    counts[cluster / entries][cluster % entries] = 1;
  }
  std::vector<u8> table(table_clusters << header.cluster_bits);
  u64 at = start + table_clusters;
  for (const auto& [index, block_counts] : counts) {
    Block block(header);
    for (const auto& [entry, count] : block_counts) block.put(entry, count);
    TRY(tables.file().write(at << header.cluster_bits, block.bytes()));
    store_be(table.data() + index * 8, at << header.cluster_bits);
    ++at;
  }
  TRY(tables.file().write(start << header.cluster_bits, std::span<const u8>(table)));
  auto& file = tables.header_file();
  file.header.refcount_table_offset = start << header.cluster_bits;
  file.header.refcount_table_clusters = static_cast<u32>(table_clusters);
  TRY(file.switch_over());
  TRY(tables.refcounts().reload());
  TRY(fix_flags(tables));
  file.header.incompatible_features &= ~(incompatible::Dirty | incompatible::Corrupt);
  return file.switch_over();
}

Io<> fix_flags(Tables& tables) {
  const Header& header = tables.header();
  auto& mapping = tables.mapping();
  for (u64 i = 0; i < mapping.l1().size(); ++i) {
    const u64 l2 = mapping.l1()[i] & kOffsetMask;
    if (l2 == 0) continue;
    TRY_ASSIGN(const u64 count, tables.refcounts().get(l2 >> header.cluster_bits));
    const u64 entry = l2 | (count == 1 ? kCopied : 0);
    if (entry != mapping.l1()[i]) mapping.set_l1(i, entry);
    if (header.has_data_file()) continue;
    std::vector<u8> bytes(header.cluster_size());
    TRY(tables.file().read(l2, bytes));
    bool changed = false;
    for (u64 j = 0; j < header.l2_entries(); ++j) {
      const auto place = std::span(bytes).subspan(j * header.l2_entry_size(), header.l2_entry_size());
      TRY_ASSIGN(Cluster cluster, decode(header, place));
      if (!cluster.allocated) continue;
      TRY_ASSIGN(const u64 uses, tables.refcounts().get(cluster.host >> header.cluster_bits));
      if (cluster.copied == (uses == 1)) continue;
      cluster.copied = uses == 1;
      encode(header, cluster, place);
      changed = true;
    }
    if (changed) TRY(tables.file().write(l2, std::span<const u8>(bytes)));
  }
  mapping.l2_cache().forget_all();
  TRY(mapping.write_l1());
  return tables.file().flush();
}

}  // namespace vireo::block::qcow2
