// What both kinds of ring do with descriptors.
#pragma once

#include "virtio/ring/chain.h"
#include "virtio/ring/spec.h"

namespace vireo::virtio {

/// Loads and stores of what the other side reads and writes at the same time; naturally aligned.
inline u16 load_shared(const u8* at) { return __atomic_load_n(reinterpret_cast<const u16*>(at), __ATOMIC_ACQUIRE); }
inline void store_shared(u8* at, u16 value) { __atomic_store_n(reinterpret_cast<u16*>(at), value, __ATOMIC_RELEASE); }
/// A store before and a load after it are in this order for the other side, too.
inline void full_fence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

/// A new event index lies in (old, new]: the other side wants to hear of it (2.7.7.2).
inline bool crosses(u16 event, u16 now, u16 before) {
  return static_cast<u16>(now - event - 1) < static_cast<u16>(now - before);
}

/// One copy of the 16 bytes at `at`, in the order of the kind of ring.
Descriptor copy_split(const u8* at);
Descriptor copy_packed(const u8* at);

/// Collects the descriptors of one chain.
class Walk {
 public:
  Walk(vm::GuestMemory& memory, Chain& chain, bool indirect_allowed)
      : memory_(memory), chain_(chain), indirect_allowed_(indirect_allowed) {}

  enum class Step : u8 { More, End, Bad };
  /// A descriptor in the ring itself. `split_table`: how an indirect table is linked.
  Step add(const Descriptor& descriptor, bool split_table);

 private:
  bool add_piece(const Descriptor& descriptor);
  bool add_table(const Descriptor& descriptor, bool split_table);

  vm::GuestMemory& memory_;
  Chain& chain_;
  const bool indirect_allowed_;
  bool writing_ = false;
};

}  // namespace vireo::virtio
