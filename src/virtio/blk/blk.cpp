#include "virtio/blk/blk.h"

#include <algorithm>
#include <array>
#include <bit>
#include <thread>

#include "base/bytes.h"

namespace vireo::virtio {

using namespace blk;

namespace {

constexpr u16 kQueueSize = 256;
/// A request's descriptors besides its data are the header and the status.
constexpr u32 kSegments = kQueueSize - 2;
constexpr u32 kMaxSectors = 2 * kGiB / kSector;  ///< in one discard

u8 status_of(block::Status status) {
  switch (status) {
    case block::Status::Ok:
      return S_OK;
    case block::Status::Unsupported:
      return S_UNSUPP;
    default:
      return S_IOERR;
  }
}

}  // namespace

struct Blk::Request : block::Request {
  Request(Blk& device, unsigned index) : blk(device), queue(index) { done = Blk::done; }
  Blk& blk;
  const unsigned queue;
  Chain chain;
  u8* status = nullptr;
  u32 written = 0;  ///< bytes the disk puts into guest memory
};

Blk::Blk(block::Disk& disk, std::string serial, unsigned queues)
    : disk_(disk), serial_(std::move(serial)), sizes_(queues, kQueueSize), idle_(queues) {}

Blk::~Blk() = default;

u64 Blk::features() const {
  const auto geometry = disk_.geometry();
  return SEG_MAX | BLK_SIZE | FLUSH | TOPOLOGY | CONFIG_WCE | MQ | (geometry.read_only ? RO : 0) |
         (geometry.discard_alignment != 0 && !geometry.read_only ? DISCARD : 0) |
         (geometry.write_zeroes && !geometry.read_only ? WRITE_ZEROES : 0);
}

bool Blk::negotiated(u64 features) {
  features_ = features;
  writeback_ = (features & FLUSH) != 0;
  return true;
}

void Blk::reset() {
  features_ = 0;
  writeback_ = true;
}

// ---- Requests

void Blk::notify(unsigned index) {
  Queue& queue = host().queue(index);
  Pool& idle = idle_[index];
  for (unsigned left = kQueueSize; left != 0; --left) {
    std::unique_ptr<Request> request;
    {
      const std::lock_guard lock(queue.mutex());
      queue.disable_notifications();
      if (idle.empty()) idle.push_back(std::make_unique<Request>(*this, index));
      if (!queue.pop(idle.back()->chain)) {
        if (queue.enable_notifications()) return;
        continue;
      }
      request = std::move(idle.back());
      idle.pop_back();
      ++in_flight_;
    }
    begin(*request.release());  // it comes back in finish()
  }
  host().notify_later(index);  // a driver that adds as fast as it is served must not keep this thread
}

void Blk::begin(Request& request) {
  Chain& chain = request.chain;
  request.written = 0;
  request.status = chain.writable.take_last();
  Header header;
  if (request.status == nullptr || !chain.readable.take(&header, sizeof header)) {
    host().needs_reset();
    return finish(request, S_IOERR);
  }
  using enum block::Operation;
  switch (header.type) {
    case T_IN:
      return read_or_write(request, Read, chain.writable, header.sector);
    case T_OUT:
      return read_or_write(request, Write, chain.readable, header.sector);
    case T_FLUSH:
      request.operation = Flush;
      request.offset = request.length = 0;
      request.memory = {};
      return submit(request);
    case T_DISCARD:
      return discard_or_zero(request, Discard);
    case T_WRITE_ZEROES:
      return discard_or_zero(request, WriteZeroes);
    case T_GET_ID:
      return get_id(request);
    default:
      return finish(request, S_UNSUPP);
  }
}

void Blk::read_or_write(Request& request, block::Operation operation, const Pieces& data, u64 sector) {
  const auto geometry = disk_.geometry();
  const u64 offset = sector * kSector, length = data.size();
  if (sector > geometry.size / kSector || length == 0 || length > geometry.size - offset ||
      (offset | length) % geometry.block_size != 0 || (operation == block::Operation::Write && geometry.read_only)) {
    return finish(request, S_IOERR);
  }
  request.operation = operation;
  request.offset = offset;
  request.length = length;
  request.memory = data.iovecs();
  if (operation == block::Operation::Read) request.written = static_cast<u32>(length);
  submit(request);
}

void Blk::discard_or_zero(Request& request, block::Operation operation) {
  const auto geometry = disk_.geometry();
  Segment segment;
  // One segment a request, as configuration space says.
  if (request.chain.readable.size() != sizeof segment || !request.chain.readable.take(&segment, sizeof segment)) {
    return finish(request, S_UNSUPP);
  }
  const bool zero = operation == block::Operation::WriteZeroes;
  if ((features() & (zero ? WRITE_ZEROES : DISCARD)) == 0 || (segment.flags & ~(zero ? kUnmap : 0)) != 0) {
    return finish(request, S_UNSUPP);
  }
  const u64 offset = segment.sector * kSector, length = segment.num_sectors * kSector;
  if (segment.sector > geometry.size / kSector || length == 0 || segment.num_sectors > kMaxSectors ||
      length > geometry.size - offset || (offset | length) % geometry.block_size != 0) {
    return finish(request, S_IOERR);
  }
  request.operation = operation;
  request.offset = offset;
  request.length = length;
  request.memory = {};
  request.may_unmap = (segment.flags & kUnmap) != 0;
  submit(request);
}

void Blk::get_id(Request& request) {
  std::array<u8, kIdSize> id{};
  std::copy_n(serial_.begin(), std::min(serial_.size(), id.size()), id.begin());
  Pieces& data = request.chain.writable;
  const u64 count = std::min(data.size(), kIdSize);
  data.put(host().memory(), id.data(), count);
  request.memory = {};
  request.written = static_cast<u32>(count);
  finish(request, S_OK);
}

void Blk::submit(Request& request) { disk_.submit(request); }

void Blk::done(block::Request& done, block::Status status) {
  auto& request = static_cast<Request&>(done);
  Blk& blk = request.blk;
  const bool stored =
      request.operation == block::Operation::Write || request.operation == block::Operation::WriteZeroes;
  if (stored && status == block::Status::Ok && !blk.writeback_) {
    request.operation = block::Operation::Flush;
    request.offset = request.length = 0;
    request.memory = {};
    return blk.submit(request);
  }
  if (request.operation == block::Operation::Read) {
    note_written(blk.host().memory(), request.memory, request.length);
  }
  blk.finish(request, status_of(status));
}

void Blk::finish(Request& request, u8 status) {
  auto& memory = host().memory();
  if (request.status != nullptr) {
    *request.status = status;
    memory.note_write(static_cast<u64>(request.status - memory.base()), 1);
    ++request.written;
  }
  Queue& queue = host().queue(request.queue);
  {
    const std::lock_guard lock(queue.mutex());
    queue.push(request.chain, request.written);
    idle_[request.queue].emplace_back(&request);
  }
  --in_flight_;  // the last that is done: who drains may go on
}

void Blk::drain() {
  // A thread may be between taking a request and submitting it, or between its end and finish().
  while (in_flight_ != 0) {
    disk_.drain();
    std::this_thread::yield();
  }
}

// ---- Configuration

void Blk::read_config(u32 offset, std::span<u8> to) {
  const auto geometry = disk_.geometry();
  std::array<u8, config::kSize> image{};
  const auto put = [&](u32 at, auto value) { store(&image[at], value); };
  put(config::capacity, geometry.size / kSector);
  put(config::seg_max, kSegments);
  put(config::blk_size, geometry.block_size);
  const u32 physical_blocks = std::max(geometry.physical_block_size / geometry.block_size, 1u);
  put(config::physical_block_exp, static_cast<u8>(std::bit_width(physical_blocks) - 1));
  put(config::min_io_size, static_cast<u16>(std::min(physical_blocks, 0xFFFFu)));
  put(config::opt_io_size, geometry.optimal_io_size / geometry.block_size);
  put(config::writeback, static_cast<u8>(writeback_ ? 1 : 0));
  put(config::num_queues, static_cast<u16>(sizes_.size()));
  if ((features() & DISCARD) != 0) {
    put(config::max_discard_sectors, kMaxSectors);
    put(config::max_discard_seg, u32{1});
    put(config::discard_sector_alignment, std::max(geometry.discard_alignment / static_cast<u32>(kSector), 1u));
  }
  if ((features() & WRITE_ZEROES) != 0) {
    put(config::max_write_zeroes_sectors, kMaxSectors);
    put(config::max_write_zeroes_seg, u32{1});
    put(config::write_zeroes_may_unmap, static_cast<u8>(geometry.discard_alignment != 0 ? 1 : 0));
  }
  std::copy_n(image.begin() + offset, to.size(), to.begin());
}

void Blk::write_config(u32 offset, std::span<const u8> from) {
  if ((features_ & CONFIG_WCE) != 0 && offset == config::writeback && from.size() == 1) writeback_ = (from[0] & 1) != 0;
}

// ---- State

namespace {
struct State {
  bool writeback = true;
  static constexpr u16 kVersion = 1;
};
void fields(vm::Archive& ar, State& s) {
  auto& [writeback] = s;
  ar(writeback);
}
}  // namespace

std::vector<u8> Blk::save() const { return vm::save_fields("", State{writeback_}).bytes; }

Result<> Blk::load(std::span<const u8> saved) {
  State state;
  TRY(vm::load_fields({.name = "blk", .version = State::kVersion, .bytes = {saved.begin(), saved.end()}}, state));
  writeback_ = state.writeback;
  return {};
}

}  // namespace vireo::virtio
