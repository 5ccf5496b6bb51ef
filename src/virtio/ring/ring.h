// The device's end of a virtqueue: takes the chains a driver makes available, gives them back used.
//
//   driver --(available)--> pop() --> the device's work --> push() --(used)--> driver
//
// The driver is not trusted: indices, descriptors and tables are read once, from a copy, and checked; every loop is
// bounded by the queue's size, and so is the number of chains that are out. What no driver does by the standard makes
// the ring Broken: the device then needs a reset and touches the ring no more.
//
// Chains may be given back in any order. undo() puts the chain that was popped last back as if it had not been.
//
// Both sides suppress what they need not hear (2.7.7, 2.7.10, 2.8.10). Between its store and its look at the other
// side's wish each has a full fence, so that one of the two sees the other.
//
// Not locked: one caller at a time.
#pragma once

#include <memory>
#include <span>

#include "virtio/ring/chain.h"
#include "virtio/ring/spec.h"

namespace vireo::virtio {

/// Where a ring lies, as the driver says it (2.6): guest-physical addresses.
struct RingPlace {
  u16 size = 0;        ///< in descriptors
  u64 descriptor = 0;  ///< Descriptor Area
  u64 driver = 0;      ///< Driver Area
  u64 device = 0;      ///< Device Area
};

/// Where the two sides are in the ring, while no chain is out; as it is here, a new ring begins.
struct RingPosition {
  u16 index = 0;     ///< split: the free-running index; packed: the slot
  bool wrap = true;  ///< packed: the wrap counter
};

struct Used {
  u16 id = 0;
  u16 descriptors = 0;
  u32 written = 0;  ///< bytes from the start of the writable pieces
  Used(const Chain& chain, u32 bytes) : id(chain.id), descriptors(chain.descriptors), written(bytes) {}
};

class Ring {
 public:
  virtual ~Ring() = default;
  Ring() = default;
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  enum class Popped : u8 { Chain, Nothing, Broken };
  /// Fills `chain`, whose former contents go, when there is one.
  virtual Popped pop(Chain& chain) = 0;
  /// `chain` was popped last, and is not out any more.
  virtual void undo(const Chain& chain) = 0;
  /// Gives chains back; the driver sees all of them or none. True: it wants to be interrupted.
  virtual bool push(std::span<const Used> used) = 0;

  /// The driver need not notify (a hint).
  virtual void disable_notifications() = 0;
  /// The driver must notify of what comes from now on. False: something has come already.
  virtual bool enable_notifications() = 0;

  /// While no chain is out.
  virtual RingPosition position() const = 0;
  /// Chains that are out, or for a packed ring their descriptors.
  virtual unsigned out() const = 0;
};

/// `features` are those that were negotiated. nullptr: the place is not in RAM, not aligned, its size none that the
/// kind of ring can have, or the position not one in it.
std::unique_ptr<Ring> make_ring(vm::GuestMemory& memory, const RingPlace& place, u64 features, RingPosition position);

}  // namespace vireo::virtio
