#include "block/qcow2/disk.h"

#include <algorithm>

#include "block/qcow2/memory_slice.h"

namespace vireo::block::qcow2 {
namespace {

constexpr std::size_t kMaxPieces = 64;  ///< of a request that goes straight on

}  // namespace

struct Qcow2Disk::Child : Request {
  Parent* parent = nullptr;
  std::vector<iovec> pieces;
};

struct Qcow2Disk::Parent {
  Qcow2Disk* disk;
  Request* request;
  u64 epoch;
  std::atomic<u64> left;
  std::atomic<Status> status{Status::Ok};
  std::vector<Child> children;

  void end(Status ended) {
    if (ended != Status::Ok) status = ended;
    if (left.fetch_sub(1) != 1) return;
    disk->epochs_.end(epoch);
    disk->finish(*request, status);
    delete this;
  }
};

Qcow2Disk::Qcow2Disk(const Header& header, Parts parts)
    : parts_(std::move(parts)),
      read_only_(parts_.read_only),
      size_(header.size),
      tables_(*parts_.file, parts_.data.get(), header, parts_.caches) {}

Qcow2Disk::~Qcow2Disk() {
  drain();
  // What a flush promised is there already.
  if (!read_only_) (void)tables_.finish();
}

Geometry Qcow2Disk::geometry() const {
  Geometry geometry;
  geometry.size = size_ & ~u64{511};
  geometry.physical_block_size = 4096;
  geometry.optimal_io_size = static_cast<u32>(cluster_size());
  geometry.discard_alignment = static_cast<u32>(header().subcluster_size());
  geometry.read_only = read_only_;
  geometry.write_zeroes = true;
  return geometry;
}

Status Qcow2Disk::check(const Request& request) const {
  if (request.operation == Operation::Flush) return Status::Ok;
  const u64 size = geometry().size;
  if (((request.offset | request.length) & 511) != 0 || request.length > size ||
      request.offset > size - request.length) {
    return Status::OutOfRange;
  }
  if (request.operation != Operation::Read && read_only_) return Status::ReadOnly;
  return Status::Ok;
}

u32 Qcow2Disk::subclusters_of(u64 cluster, u64 from, u64 to) const {
  const u64 start = cluster << header().cluster_bits;
  const u64 first = std::max(from, start), last = std::min(to, start + cluster_size());
  if (first >= last) return 0;
  const u64 low = (first - start) / header().subcluster_size();
  const u64 high = (last - 1 - start) / header().subcluster_size();
  return static_cast<u32>(((u64{2} << high) - 1) & ~((u64{1} << low) - 1));
}

bool Qcow2Disk::reads_zero(const Cluster& cluster) const {
  if (cluster.compressed || cluster.data != 0) return false;
  return !parts_.backing || cluster.zero == all_subclusters(header());
}

template <class Look>
Io<Qcow2Disk::Piece> Qcow2Disk::piece_at(u64 offset, u64 length, Look look) const {
  Piece piece;
  const u64 end = offset + length;
  for (u64 at = offset; at < end;) {
    const u64 index = cluster_of(at), start = index << header().cluster_bits;
    TRY_ASSIGN(const Cluster cluster, look(index));
    const u64 cluster_end = std::min(end, start + cluster_size());
    while (at < cluster_end) {
      const u64 sub = (at - start) / header().subcluster_size();
      Piece here{.kind = Piece::Kind::Backing, .own = cluster.own()};
      if (cluster.compressed) {
        here.kind = Piece::Kind::Compressed;
        here.cluster = cluster;
      } else if ((cluster.data >> sub & 1) != 0) {
        here.kind = Piece::Kind::Data;
        here.host = cluster.host + (at - start);
      } else if ((cluster.zero >> sub & 1) != 0) {
        here.kind = Piece::Kind::Zero;
      }
      if (at == offset) {
        piece = here;
      } else if (here.kind != piece.kind || here.own != piece.own || here.kind == Piece::Kind::Compressed ||
                 (here.kind == Piece::Kind::Data && here.host != piece.host + piece.length)) {
        return piece;
      }
      const u64 next =
          cluster.compressed ? cluster_end : std::min(cluster_end, start + (sub + 1) * header().subcluster_size());
      piece.length += next - at;
      at = next;
    }
    if (piece.kind == Piece::Kind::Compressed) return piece;
  }
  return piece;
}

Io<Qcow2Disk::Piece> Qcow2Disk::piece_at(u64 offset, u64 length) {
  return piece_at(offset, length, [this](u64 index) { return tables_.mapping().get(index); });
}

void Qcow2Disk::finish(Request& request, Status status) {
  request.done(request, status);
  in_flight_.end();
}

void Qcow2Disk::submit(Request& request) {
  if (const Status status = check(request); status != Status::Ok) return request.done(request, status);
  in_flight_.begin();
  const bool flush = request.operation == Operation::Flush;
  const bool bytes = request.operation == Operation::Read || request.operation == Operation::Write;
  if (flush && submit_flush(request)) return;
  if (bytes && submit_fast(request)) return;
  const auto work = [this, &request] {
    const auto done = perform(request);
    finish(request, done ? Status::Ok : done.error());
  };
  parts_.run ? parts_.run(work) : work();
}

bool Qcow2Disk::submit_fast(Request& request) {
  const bool write = request.operation == Operation::Write;
  std::array<Piece, kMaxPieces> pieces;
  std::size_t count = 0;
  const u64 epoch = epochs_.begin();  // before the look
  for (u64 done = 0; done < request.length; done += pieces[count++].length) {
    const auto look = [this](u64 index) -> Io<Cluster> {
      const auto cluster = tables_.mapping().peek(index);
      if (!cluster) return std::unexpected(Status::Unsupported);
      return *cluster;
    };
    const auto piece = piece_at(request.offset + done, request.length - done, look);
    if (!piece || count == kMaxPieces || piece->kind == Piece::Kind::Compressed ||
        (write && (piece->kind != Piece::Kind::Data || !piece->own))) {
      epochs_.end(epoch);
      return false;
    }
    pieces[count] = *piece;
  }
  launch(request, epoch, std::span(pieces).first(count));
  return true;
}

void Qcow2Disk::launch(Request& request, u64 epoch, std::span<const Piece> pieces) {
  auto* parent = new Parent{this, &request, epoch, 1, Status::Ok, std::vector<Child>(pieces.size())};
  u64 done = 0;
  std::vector<std::pair<Child*, bool>> ready;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const Piece& piece = pieces[i];
    auto& child = parent->children[i];
    const u64 offset = request.offset + done;
    u64 length = piece.length;
    const bool backing = piece.kind == Piece::Kind::Backing && parts_.backing;
    if (piece.kind != Piece::Kind::Data) {
      const u64 there = backing ? parts_.backing->geometry().size : 0;
      length = offset >= there ? 0 : std::min(length, there - offset);
      if (length < piece.length) fill_zero(slice(request.memory, done + length, piece.length - length));
      if (!backing) length = 0;
    }
    if (length > 0) {
      child.operation = request.operation;
      child.offset = backing ? offset : piece.host;
      child.length = length;
      child.pieces = slice(request.memory, done, length);
      child.memory = child.pieces;
      child.parent = parent;
      child.done = [](Request& ended, Status status) { static_cast<Child&>(ended).parent->end(status); };
      ready.emplace_back(&child, backing);
    }
    done += piece.length;
  }
  parent->left += ready.size();
  for (const auto& [child, backing] : ready) {
    backing ? parts_.backing->submit(*child) : tables_.data().submit(*child);
  }
  parent->end(Status::Ok);
}

bool Qcow2Disk::submit_flush(Request& request) {
  if (dirty_) return false;
  const u64 files = parts_.data ? 2 : 1;
  auto* parent = new Parent{this, &request, epochs_.begin(), files, Status::Ok, std::vector<Child>(files)};
  Storage* const storages[] = {parts_.file.get(), parts_.data.get()};
  auto* const children = parent->children.data();
  for (u64 i = 0; i < files; ++i) {
    children[i].operation = Operation::Flush;
    children[i].parent = parent;
    children[i].done = [](Request& ended, Status status) { static_cast<Child&>(ended).parent->end(status); };
  }
  for (u64 i = 0; i < files; ++i) storages[i]->submit(children[i]);
  return true;
}

Status Qcow2Disk::execute(const Request& request) {
  if (const Status status = check(request); status != Status::Ok) return status;
  const auto done = perform(request);
  return done ? Status::Ok : done.error();
}

Io<> Qcow2Disk::perform(const Request& request) {
  switch (request.operation) {
    case Operation::Read:
      return read_bytes(request.offset, request.memory, request.length);
    case Operation::Write:
      for (u64 done = 0; done < request.length;) {
        const auto memory = slice(request.memory, done, request.length - done);
        TRY_ASSIGN(const u64 written, write_some(request.offset + done, memory, request.length - done));
        done += written;
      }
      return {};
    case Operation::Flush:
      return flush_tables();
    case Operation::Discard:
    case Operation::WriteZeroes:
      return clear(request);
  }
  return std::unexpected(Status::Unsupported);
}

Io<Extent> Qcow2Disk::extent_at(u64 offset, u64 length) {
  const auto writer = lock_writer();
  TRY_ASSIGN(const Piece piece, piece_at(offset, length));
  Extent extent{Extent::Kind::Data, piece.length, piece.kind == Piece::Kind::Compressed};
  if (piece.kind == Piece::Kind::Zero) extent.kind = Extent::Kind::Zero;
  if (piece.kind == Piece::Kind::Backing) extent.kind = Extent::Kind::Backing;
  return extent;
}

}  // namespace vireo::block::qcow2
