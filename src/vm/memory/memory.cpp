#include "vm/memory/memory.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/bits.h"

namespace vireo::vm {
namespace {

void barrier_on_all_threads() {
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

}  // namespace

Result<GuestMemory> GuestMemory::create(std::vector<Slot> slots, Sharing sharing) {
  u64 size = 0;
  u64 end = 0;
  for (const auto& slot : slots) {
    if (slot.size == 0 || ((slot.gpa | slot.size) & kPageMask) != 0 || slot.gpa < end || slot.offset != size) {
      return fail(ErrorKind::Usage, "memory layout: the slot at {:#x} is empty, unaligned, overlapping or out of order",
                  slot.gpa);
    }
    end = slot.gpa + slot.size;
    size += slot.size;
  }
  GuestMemory memory;
  TRY_ASSIGN(memory.ram_,
             sharing == Sharing::Shared ? host::Map::shared(size, "vireo-ram") : host::Map::anonymous(size));
  TRY_ASSIGN(memory.generations_, host::Map::anonymous(align_up((size >> kChunkShift) * sizeof(u32), kPageSize)));
  TRY_ASSIGN(memory.users_, host::Map::anonymous(align_up((size >> kPageShift) * sizeof(u16), kPageSize)));
  memory.generations_.set_huge_pages(false);
  memory.users_.set_huge_pages(false);
  memory.ram_.set_huge_pages(true);
  memory.slots_ = std::move(slots);
  if (::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) != 0) {
    return fail_errno(errno, "this kernel has no membarrier(PRIVATE_EXPEDITED), needed since Linux 4.14");
  }
  return memory;
}

bool GuestMemory::read(u64 gpa, void* to, u64 length) const {
  const u8* from = at(gpa, length);
  if (from == nullptr) return false;
  std::memcpy(to, from, length);
  return true;
}

bool GuestMemory::write(u64 gpa, const void* from, u64 length) {
  const u64 offset = offset_of(gpa, length);
  if (offset == kNone) return false;
  std::memcpy(ram_.data() + offset, from, length);
  note_write(offset, length);
  return true;
}

void GuestMemory::give_back(u64 offset, u64 length) {
  ram_.discard(offset, length);
  note_write(offset, length);
}

void GuestMemory::enter_code(u64 offset) {
  auto& chunk = generation(offset);
  u32 seen = chunk.load(std::memory_order_acquire);
  if (seen != 0 && seen % 2 == 0) return;
  if (seen == 0) chunk.compare_exchange_strong(seen, 1);
  barrier_on_all_threads();
  seen = chunk.load(std::memory_order_acquire);
  while (seen % 2 == 1 && !chunk.compare_exchange_weak(seen, seen + 1)) {
  }
}

void GuestMemory::add_code_user(u64 page, const CodeListener* self) {
  // Counted first: a listener that is asked now, or looks at the count later, finds the page taken.
  users()[page].fetch_add(1, std::memory_order_seq_cst);
  for (CodeListener* listener : *listeners_) {
    if (listener != self) listener->page_becomes_code(page);
  }
}

void GuestMemory::tell_code_changed(u64 page) {
  for (CodeListener* listener : *listeners_) listener->code_changed(page);
}

void GuestMemory::tell_code_unwanted(u64 page) {
  for (CodeListener* listener : *listeners_) listener->code_unwanted(page);
}

}  // namespace vireo::vm
