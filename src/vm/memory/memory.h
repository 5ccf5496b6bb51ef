// Guest-physical memory: RAM, where it sits in the guest's address space, and who must hear of a write to it.
//
// RAM is one host mapping. Slots place pieces of it at guest-physical addresses (below the PCI hole, above 4 GiB);
// everything outside a slot is not RAM and belongs to the machine's bus. An offset is a byte position in the mapping.
//
// Threads: the slot list is fixed once vCPUs run. The bytes are shared with every vCPU and device; plain accesses of 1,
// 2, 4 and 8 aligned bytes are single host accesses.
//
// Code tracking. Engines cache what they decoded. Per chunk of 256 bytes there is a generation: 0 while nobody cached
// code from the chunk, else a number that changes with every write to it. The protocol, for engines and devices alike:
//   reader:  enter_code(offset) [which makes the generation non-zero and issues membarrier(PRIVATE_EXPEDITED)],
//            then reads the bytes and keeps the generation; the cached code is good while the generation is the same.
//   writer:  writes, and then calls note_write (or loads the generation itself and, if it is not 0, calls bump).
// The writer pays one load and no fence: the reader's membarrier is the other half of the Dekker pattern. A generation
// is odd until the membarrier of the thread that entered the chunk first is through; others who see it odd issue their
// own.
//
// Engines that store without looking at generations (through translations they keep) follow a second rule, by page: a
// page with code users, code_users(page) != 0, is never stored to in that way. An engine that begins to use code of a
// page calls add_code_user(), which returns after every other listener has let go of its ways to store to the page;
// when it has dropped the last code of the page, remove_code_user(). A changed generation in such a page is told to all
// listeners.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/map.h"

namespace vireo::vm {

/// An engine that caches code of pages or ways to store to them. Called from any thread.
class CodeListener {
 public:
  virtual ~CodeListener() = default;
  /// `page` (a number of pages from the start of RAM) is about to hold code: when this returns, no store that does not
  /// look at generations reaches it any more. The caller holds no lock and is not running guest code itself.
  virtual void page_becomes_code(u64 page) = 0;
  /// A generation in `page`, which has code users, changed. Must not block.
  virtual void code_changed(u64 page) = 0;
  /// `page` is written more than it is run from: its code may go. Must not block.
  virtual void code_unwanted(u64 page) = 0;
};

class GuestMemory {
 public:
  struct Slot {
    u64 gpa = 0;     ///< page aligned
    u64 size = 0;    ///< bytes, page aligned
    u64 offset = 0;  ///< in the mapping
  };
  static constexpr unsigned kChunkShift = 8;

  /// Slots must be disjoint, sorted by gpa, and cover the mapping without gaps. Shared memory may be given to another
  /// process, which is to tell what it writes by note_write here.
  enum class Sharing : u8 { Private, Shared };
  static Result<GuestMemory> create(std::vector<Slot> slots, Sharing sharing = Sharing::Private);

  u8* base() const { return ram_.data(); }
  u64 size() const { return ram_.size(); }
  std::span<const Slot> slots() const { return slots_; }
  /// Of shared memory, by offset; else empty.
  const host::Fd& file() const { return ram_.file(); }

  /// Offset of [gpa, gpa+length) if it lies in one slot, else kNone.
  u64 offset_of(u64 gpa, u64 length) const {
    for (const auto& slot : slots_) {
      if (gpa - slot.gpa < slot.size && length <= slot.size - (gpa - slot.gpa)) return slot.offset + (gpa - slot.gpa);
    }
    return kNone;
  }
  /// Host address of the same, or nullptr. Whoever writes through it calls note_write.
  u8* at(u64 gpa, u64 length) const {
    const u64 offset = offset_of(gpa, length);
    return offset == kNone ? nullptr : ram_.data() + offset;
  }
  static constexpr u64 kNone = ~u64{0};

  /// Copies; false (and nothing copied) when the range is not inside one slot.
  bool read(u64 gpa, void* to, u64 length) const;
  bool write(u64 gpa, const void* from, u64 length);

  /// RAM reads as zero again and its host pages are given back; code caches notice.
  void clear() { give_back(0, size()); }
  /// The same for [offset, offset+length), page aligned. Any thread, while vCPUs run.
  void give_back(u64 offset, u64 length);

  // Code tracking, by offset.
  std::atomic<u32>& generation(u64 offset) const { return generations()[offset >> kChunkShift]; }
  void enter_code(u64 offset);
  void note_write(u64 offset, u64 length) {
    if (length == 0) return;
    for (u64 chunk = offset >> kChunkShift; chunk <= (offset + length - 1) >> kChunkShift; ++chunk) {
      if (generations()[chunk].load(std::memory_order_relaxed) != 0) bump(generations()[chunk]);
    }
  }
  void bump(std::atomic<u32>& generation) {
    if (generation.fetch_add(2, std::memory_order_acq_rel) >= ~u32{1})
      generation.fetch_add(2, std::memory_order_acq_rel);
    code_epoch_->fetch_add(1, std::memory_order_acq_rel);
    const u64 page = static_cast<u64>(&generation - generations()) >> (kPageShift - kChunkShift);
    if (code_users(page) != 0) [[unlikely]]
      tell_code_changed(page);
  }
  /// Changes after every change of any generation from one non-zero value to another: while it stands still, all cached
  /// code that was current still is. One cache line that is nearly always only read.
  u64 code_epoch() const { return code_epoch_->load(std::memory_order_acquire); }
  /// The array the engines index with offset >> kChunkShift.
  std::atomic<u32>* generations() const { return reinterpret_cast<std::atomic<u32>*>(generations_.data()); }

  // Code users, by page: offset >> kPageShift. Listeners are added and removed while no vCPU runs.
  void add_code_listener(CodeListener* listener) { listeners_->push_back(listener); }
  void remove_code_listener(CodeListener* listener) { std::erase(*listeners_, listener); }
  u16 code_users(u64 page) const { return users()[page].load(std::memory_order_acquire); }
  void add_code_user(u64 page, const CodeListener* self);
  void tell_code_unwanted(u64 page);
  void remove_code_user(u64 page) { users()[page].fetch_sub(1, std::memory_order_acq_rel); }

 private:
  void tell_code_changed(u64 page);
  std::atomic<u16>* users() const { return reinterpret_cast<std::atomic<u16>*>(users_.data()); }

  host::Map ram_;
  host::Map generations_;
  host::Map users_;
  std::unique_ptr<std::vector<CodeListener*>> listeners_ = std::make_unique<std::vector<CodeListener*>>();
  std::vector<Slot> slots_;
  struct alignas(64) Epoch : std::atomic<u64> {};
  std::unique_ptr<Epoch> code_epoch_ = std::make_unique<Epoch>();
};

}  // namespace vireo::vm
