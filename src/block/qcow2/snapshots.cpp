#include "block/qcow2/snapshots.h"

#include <algorithm>
#include <chrono>

#include "base/bytes.h"
#include "block/api/status.h"
#include "block/qcow2/rebuild.h"

namespace vireo::block::qcow2 {
namespace {

constexpr std::size_t kFixed = 40, kExtra = 24;

std::unexpected<Error> failed(Tables& tables, Status status, std::string_view what) {
  if (status == Status::Unsupported) {
    return fail(ErrorKind::WrongState, "cannot {} {}: its refcounts of {} bits do not count that far", what,
                tables.file().name(), 1u << tables.header().refcount_order);
  }
  return fail(ErrorKind::Failed, "cannot {} {}: {}", what, tables.file().name(), describe(status));
}

/// The table's bytes, as many as there may be; and the parsed entries' end in `used`.
Result<std::vector<Snapshot>> parse(Tables& tables, u64& used) {
  const Header& header = tables.header();
  std::vector<Snapshot> snapshots;
  u64 at = 0;
  for (u32 i = 0; i < header.nb_snapshots; ++i) {
    const auto broken = [&] {
      return fail(ErrorKind::Usage, "{}: snapshot {} cannot be", tables.file().name(), i + 1);
    };
    std::vector<u8> bytes(kFixed);
    const auto read = [&](u64 offset) { return tables.file().read(header.snapshots_offset + offset, bytes); };
    if (auto done = read(at); !done) return failed(tables, done.error(), "read");
    Snapshot snapshot;
    snapshot.l1_table_offset = load_be<u64>(bytes.data());
    snapshot.l1_size = load_be<u32>(bytes.data() + 8);
    const u64 id_size = load_be<u16>(bytes.data() + 12), name_size = load_be<u16>(bytes.data() + 14);
    snapshot.date_sec = load_be<u32>(bytes.data() + 16);
    snapshot.date_nsec = load_be<u32>(bytes.data() + 20);
    snapshot.vm_clock_nsec = load_be<u64>(bytes.data() + 24);
    snapshot.vm_state_size = load_be<u32>(bytes.data() + 32);
    const u64 extra = load_be<u32>(bytes.data() + 36);
    if (extra > kMaxSnapshotExtra || u64{snapshot.l1_size} * 8 > kMaxL1Bytes ||
        (snapshot.l1_table_offset & (header.cluster_size() - 1)) != 0 || snapshot.l1_table_offset >= kMaxHostOffset) {
      return broken();
    }
    bytes.resize(extra + id_size + name_size);
    if (auto done = read(at + kFixed); !done) return failed(tables, done.error(), "read");
    if (extra >= 8) snapshot.vm_state_size = load_be<u64>(bytes.data());
    snapshot.disk_size = extra >= 16 ? load_be<u64>(bytes.data() + 8) : header.size;
    const auto id = bytes.begin() + static_cast<std::ptrdiff_t>(extra);
    const auto name = id + static_cast<std::ptrdiff_t>(id_size);
    snapshot.id.assign(id, name);
    snapshot.name.assign(name, bytes.end());
    if (extra > 16) snapshot.more.assign(bytes.begin() + 16, id);
    at += (kFixed + extra + id_size + name_size + 7) / 8 * 8;
    if (at > kMaxSnapshotTableBytes) return broken();
    if (header.l1_entries_for(snapshot.disk_size) > snapshot.l1_size || snapshot.disk_size > (u64{1} << 62)) {
      return broken();
    }
    snapshots.push_back(std::move(snapshot));
  }
  used = at;
  return snapshots;
}

std::vector<u8> format(const std::vector<Snapshot>& snapshots) {
  std::vector<u8> bytes;
  for (const auto& snapshot : snapshots) {
    const auto at = bytes.size();
    const std::size_t extra = std::max(kExtra, 16 + snapshot.more.size());
    bytes.resize(at + (kFixed + extra + snapshot.id.size() + snapshot.name.size() + 7) / 8 * 8);
    u8* to = bytes.data() + at;
    store_be(to, snapshot.l1_table_offset);
    store_be(to + 8, snapshot.l1_size);
    store_be(to + 12, static_cast<u16>(snapshot.id.size()));
    store_be(to + 14, static_cast<u16>(snapshot.name.size()));
    store_be(to + 16, snapshot.date_sec);
    store_be(to + 20, snapshot.date_nsec);
    store_be(to + 24, snapshot.vm_clock_nsec);
    store_be(to + 32, static_cast<u32>(std::min<u64>(snapshot.vm_state_size, ~u32{0})));
    store_be(to + 36, static_cast<u32>(extra));
    store_be(to + 40, snapshot.vm_state_size);
    store_be(to + 48, snapshot.disk_size);
    store_be(to + 56, ~u64{0});  // no instruction count
    std::ranges::copy(snapshot.more, to + 56);
    std::ranges::copy(snapshot.id, to + kFixed + extra);
    std::ranges::copy(snapshot.name, to + kFixed + extra + snapshot.id.size());
  }
  return bytes;
}

/// Everything that an L1 table reaches is counted once more, or once less with the next commit.
Io<> refer_to_all(Tables& tables, std::span<const u64> l1, int delta) {
  const Header& header = tables.header();
  std::vector<u8> bytes(header.cluster_size());
  for (const u64 entry : l1) {
    const u64 l2 = entry & kOffsetMask;
    if (l2 == 0) continue;
    if ((l2 & (header.cluster_size() - 1)) != 0) return std::unexpected(Status::IoError);
    TRY(tables.file().read(l2, bytes));
    for (u64 i = 0; i < header.l2_entries(); ++i) {
      const u32 size = header.l2_entry_size();
      TRY_ASSIGN(const Cluster cluster, decode(header, std::span<const u8>(bytes).subspan(i * size, size)));
      TRY(tables.refer(cluster, delta));
    }
    if (delta < 0) {
      tables.refcounts().release(l2 >> header.cluster_bits, false);
    } else {
      TRY(tables.refcounts().add(l2 >> header.cluster_bits, delta));
    }
    if (tables.crowded()) TRY(tables.commit());
  }
  return {};
}

/// Unsupported when a count would become too large for its width: nothing has changed then.
Io<> check_counts(Tables& tables, std::span<const u64> l1) {
  const Header& header = tables.header();
  ReferenceCounter more;
  std::vector<u8> bytes(header.cluster_size());
  for (const u64 entry : l1) {
    const u64 l2 = entry & kOffsetMask;
    if (l2 == 0) continue;
    more.add(l2 >> header.cluster_bits);
    TRY(tables.file().read(l2, bytes));
    for (u64 i = 0; i < header.l2_entries(); ++i) {
      const u32 size = header.l2_entry_size();
      TRY_ASSIGN(const Cluster cluster, decode(header, std::span<const u8>(bytes).subspan(i * size, size)));
      if (cluster.compressed) {
        more.add_range(cluster.host, cluster.compressed_bytes, header.cluster_bits);
      } else if (cluster.allocated) {
        more.add(cluster.host >> header.cluster_bits);
      }
    }
  }
  Io<> fits;
  more.each([&](u64 cluster, u64 count) {
    const auto now = tables.refcounts().get(cluster);
    if (!now) {
      fits = std::unexpected(now.error());
    } else if (count > header.max_refcount() || *now > header.max_refcount() - count) {
      fits = std::unexpected(Status::Unsupported);
    }
  });
  return fits;
}

/// Nothing of the active tables may be written in place any more.
Io<> clear_flags(Tables& tables) {
  const Header& header = tables.header();
  auto& mapping = tables.mapping();
  std::vector<u8> bytes(header.cluster_size());
  for (u64 i = 0; i < mapping.l1().size(); ++i) {
    const u64 l2 = mapping.l1()[i] & kOffsetMask;
    if (l2 == 0) continue;
    TRY(tables.file().read(l2, bytes));
    bool changed = false;
    for (u64 j = 0; j < header.l2_entries(); ++j) {
      const auto place = std::span(bytes).subspan(j * header.l2_entry_size(), header.l2_entry_size());
      TRY_ASSIGN(Cluster cluster, decode(header, place));
      if (!cluster.copied) continue;
      cluster.copied = false;
      encode(header, cluster, place);
      changed = true;
    }
    if (changed) TRY(tables.file().write(l2, std::span<const u8>(bytes)));
    mapping.set_l1(i, l2);
  }
  mapping.l2_cache().forget_all();
  TRY(mapping.write_l1());
  return tables.file().flush();
}

std::vector<u8> format_l1(std::span<const u64> entries) {
  std::vector<u8> bytes(entries.size() * 8);
  for (std::size_t i = 0; i < entries.size(); ++i) store_be(bytes.data() + i * 8, entries[i] & kOffsetMask);
  return bytes;
}

/// The header names `snapshots` from now on; the old table's clusters are given up.
Io<> switch_table(Tables& tables, const std::vector<Snapshot>& snapshots, u64 old_bytes) {
  auto& file = tables.header_file();
  const u64 old_offset = file.header.snapshots_offset;
  u64 place = 0;
  if (!snapshots.empty()) {
    const auto bytes = format(snapshots);
    if (bytes.size() > kMaxSnapshotTableBytes) return std::unexpected(Status::NoSpace);
    TRY_ASSIGN(place, tables.write_table(bytes));
  }
  TRY(tables.commit());
  file.header.snapshots_offset = place;
  file.header.nb_snapshots = static_cast<u32>(snapshots.size());
  TRY(file.switch_over());
  if (old_bytes > 0) tables.release_clusters(old_offset, old_bytes);
  return {};
}

std::string next_id(const std::vector<Snapshot>& snapshots) {
  u64 last = 0;
  for (const auto& snapshot : snapshots) {
    u64 number = 0;
    for (const char c : snapshot.id) number = c >= '0' && c <= '9' && number < (1u << 30) ? number * 10 + (c - '0') : 0;
    last = std::max(last, number);
  }
  return std::to_string(last + 1);
}

Io<> create(Tables& tables, std::vector<Snapshot> snapshots, const std::string& name, u64 old_bytes) {
  using namespace std::chrono;
  TRY(check_counts(tables, tables.mapping().l1()));
  TRY(tables.mark(incompatible::Dirty, true));
  TRY(clear_flags(tables));
  const auto& l1 = tables.mapping().l1();
  TRY(refer_to_all(tables, l1, 1));
  TRY_ASSIGN(const u64 place, tables.write_table(format_l1(l1)));
  const auto now = system_clock::now().time_since_epoch();
  Snapshot snapshot;
  snapshot.l1_table_offset = place;
  snapshot.l1_size = static_cast<u32>(l1.size());
  snapshot.id = next_id(snapshots);
  snapshot.name = name;
  snapshot.date_sec = static_cast<u32>(duration_cast<seconds>(now).count());
  snapshot.date_nsec = static_cast<u32>((now % seconds(1)).count());
  snapshot.disk_size = tables.header().size;
  snapshots.push_back(std::move(snapshot));
  TRY(switch_table(tables, snapshots, old_bytes));
  return tables.finish();
}

Io<> apply(Tables& tables, const Snapshot& snapshot, std::span<const u64> l1) {
  TRY(check_counts(tables, l1));
  TRY(tables.mark(incompatible::Dirty, true));
  TRY(refer_to_all(tables, l1, 1));
  std::vector<u64> entries(l1.begin(), l1.end());
  TRY_ASSIGN(const u64 place, tables.write_table(format_l1(entries)));
  TRY(tables.commit());
  auto& file = tables.header_file();
  const auto old_l1 = tables.mapping().l1();
  const u64 old_place = file.header.l1_table_offset;
  file.header.l1_table_offset = place;
  file.header.l1_size = snapshot.l1_size;
  file.header.size = snapshot.disk_size;
  TRY(file.switch_over());
  TRY(tables.mapping().reload());
  TRY(refer_to_all(tables, old_l1, -1));
  tables.release_clusters(old_place, old_l1.size() * 8);
  TRY(tables.commit());
  TRY(fix_flags(tables));
  return tables.finish();
}

Io<> remove(Tables& tables, std::vector<Snapshot> snapshots, const Snapshot& snapshot, std::span<const u64> l1,
            u64 old_bytes) {
  const u64 place = snapshot.l1_table_offset;
  std::erase_if(snapshots, [&](const Snapshot& other) { return other.id == snapshot.id; });
  TRY(tables.mark(incompatible::Dirty, true));
  TRY(switch_table(tables, snapshots, old_bytes));
  TRY(refer_to_all(tables, l1, -1));
  tables.release_clusters(place, l1.size() * 8);
  TRY(tables.commit());
  TRY(fix_flags(tables));
  return tables.finish();
}

Result<> changeable(Tables& tables) {
  if (tables.file().read_only()) return fail(ErrorKind::Denied, "{} is read-only", tables.file().name());
  if (tables.header().has_data_file()) {
    return fail(ErrorKind::Usage, "{} has an external data file, which snapshots cannot hold", tables.file().name());
  }
  return {};
}

Result<Snapshot> find(Tables& tables, const std::vector<Snapshot>& snapshots, const std::string& wanted) {
  const auto* found = find_snapshot(snapshots, wanted);
  if (found == nullptr) {
    return fail(ErrorKind::NotFound, "{} has no snapshot \"{}\"", tables.file().name(), wanted);
  }
  return *found;
}

}  // namespace

Result<std::vector<Snapshot>> read_snapshots(Tables& tables) {
  u64 used = 0;
  return parse(tables, used);
}

Result<u64> snapshot_table_bytes(Tables& tables) {
  u64 used = 0;
  TRY(parse(tables, used));
  return used;
}

const Snapshot* find_snapshot(const std::vector<Snapshot>& snapshots, const std::string& id_or_name) {
  for (const auto member : {&Snapshot::name, &Snapshot::id}) {
    const auto found = std::ranges::find(snapshots, id_or_name, member);
    if (found != snapshots.end()) return &*found;
  }
  return nullptr;
}

Result<std::vector<u64>> read_l1(Tables& tables, u64 offset, u32 entries) {
  std::vector<u8> bytes(u64{entries} * 8);
  if (auto read = tables.file().read(offset, bytes); !read) return failed(tables, read.error(), "read");
  std::vector<u64> l1(entries);
  for (std::size_t i = 0; i < l1.size(); ++i) l1[i] = load_be<u64>(bytes.data() + i * 8);
  return l1;
}

Result<> create_snapshot(Tables& tables, const std::string& name) {
  TRY(changeable(tables));
  u64 old_bytes = 0;
  TRY_ASSIGN(auto snapshots, parse(tables, old_bytes));
  if (name.empty() || name.size() > 1023) return fail(ErrorKind::Usage, "a snapshot's name has 1 to 1023 characters");
  if (find_snapshot(snapshots, name) != nullptr) {
    return fail(ErrorKind::WrongState, "{} has a snapshot \"{}\" already", tables.file().name(), name);
  }
  if (snapshots.size() >= kMaxSnapshots) return fail(ErrorKind::WrongState, "there are too many snapshots");
  const auto done = create(tables, std::move(snapshots), name, old_bytes);
  if (!done) return failed(tables, done.error(), "make a snapshot in");
  return {};
}

Result<> apply_snapshot(Tables& tables, const std::string& id_or_name) {
  TRY(changeable(tables));
  TRY_ASSIGN(const auto snapshots, read_snapshots(tables));
  TRY_ASSIGN(const auto snapshot, find(tables, snapshots, id_or_name));
  TRY_ASSIGN(const auto l1, read_l1(tables, snapshot.l1_table_offset, snapshot.l1_size));
  const auto done = apply(tables, snapshot, l1);
  if (!done) return failed(tables, done.error(), "apply a snapshot in");
  return {};
}

Result<> delete_snapshot(Tables& tables, const std::string& id_or_name) {
  TRY(changeable(tables));
  u64 old_bytes = 0;
  TRY_ASSIGN(const auto snapshots, parse(tables, old_bytes));
  TRY_ASSIGN(const auto snapshot, find(tables, snapshots, id_or_name));
  TRY_ASSIGN(const auto l1, read_l1(tables, snapshot.l1_table_offset, snapshot.l1_size));
  const auto done = remove(tables, snapshots, snapshot, l1, old_bytes);
  if (!done) return failed(tables, done.error(), "delete a snapshot of");
  return {};
}

}  // namespace vireo::block::qcow2
