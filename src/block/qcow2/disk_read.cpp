// Reading in the calling thread.
#include "block/qcow2/compression.h"
#include "block/qcow2/disk.h"
#include "block/qcow2/memory_slice.h"

namespace vireo::block::qcow2 {

Io<> Qcow2Disk::read_bytes(u64 offset, std::span<const iovec> memory, u64 length) {
  for (u64 done = 0; done < length;) {
    const u64 epoch = epochs_.begin();
    Io<Piece> piece;
    {
      const auto writer = lock_writer();
      piece = piece_at(offset + done, length - done);
    }
    Io<> read;
    if (piece) {
      read = read_piece(*piece, offset + done, slice(memory, done, piece->length));
      done += piece->length;
    } else {
      read = std::unexpected(piece.error());
    }
    epochs_.end(epoch);
    TRY(std::move(read));
  }
  return {};
}

Io<> Qcow2Disk::read_piece(const Piece& piece, u64 offset, std::span<const iovec> memory) {
  switch (piece.kind) {
    case Piece::Kind::Data:
      return tables_.data().read(piece.host, memory);
    case Piece::Kind::Zero:
      fill_zero(memory);
      return {};
    case Piece::Kind::Backing:
      return read_backing(offset, memory, piece.length);
    case Piece::Kind::Compressed:
      return read_compressed(piece, offset, memory);
  }
  return {};
}

Io<> Qcow2Disk::read_backing(u64 offset, std::span<const iovec> memory, u64 length) {
  const u64 there = parts_.backing ? parts_.backing->geometry().size : 0;
  const u64 within = offset >= there ? 0 : std::min(length, there - offset);
  fill_zero(slice(memory, within, length - within));
  if (within == 0) return {};
  const auto pieces = slice(memory, 0, within);
  const Status status =
      parts_.backing->execute({.operation = Operation::Read, .offset = offset, .length = within, .memory = pieces});
  if (status != Status::Ok) return std::unexpected(status);
  return {};
}

Io<> Qcow2Disk::read_compressed(const Piece& piece, u64 offset, std::span<const iovec> memory) {
  std::shared_ptr<const std::vector<u8>> unpacked;
  {
    const std::lock_guard lock(unpacked_mutex_);
    if (unpacked_host_ == piece.cluster.host) unpacked = unpacked_;
  }
  if (!unpacked) {
    std::vector<u8> packed(piece.cluster.compressed_bytes);
    TRY(parts_.file->read(piece.cluster.host, packed));
    auto bytes = std::make_shared<std::vector<u8>>(cluster_size());
    if (!decompress(header().compression_type, packed, *bytes)) return std::unexpected(Status::IoError);
    unpacked = std::move(bytes);
    const std::lock_guard lock(unpacked_mutex_);
    unpacked_ = unpacked;
    unpacked_host_ = piece.cluster.host;
  }
  copy_to(memory, std::span(*unpacked).subspan(offset & (cluster_size() - 1)));
  return {};
}

}  // namespace vireo::block::qcow2
