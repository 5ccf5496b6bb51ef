// The control socket's commands for a person's hands: input-send-event and send-key, as QEMU has them. Keys go to the
// first keyboard, buttons and wheels to the first mouse or tablet, movements to the first that has them.
//
//   {"events": [{"type": "key", "data": {"down": true, "key": {"type": "qcode", "data": "a"}}},
//               {"type": "btn", "data": {"down": true, "button": "left"}},
//               {"type": "rel", "data": {"axis": "x", "value": -5}},
//               {"type": "abs", "data": {"axis": "y", "value": 16384}}]}            (of 0..32767)
//   {"keys": [{"type": "qcode", "data": "ctrl"}, {"type": "qcode", "data": "c"}], "hold-time": 100}
//
// send-key answers at once: keys go down, and are let go in the opposite order after hold-time, milliseconds; those of
// a second call wait until then. At most kMaxWaiting calls wait.
#pragma once

#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "api/qmp_commands.h"
#include "host/loop.h"
#include "virtio/input/input.h"
#include "vmm/life.h"

namespace vireo::vmm {

class InputCommands {
 public:
  static constexpr std::size_t kMaxWaiting = 64;
  static constexpr std::size_t kMostEvents = 256;  ///< of one call

  /// All outlive this object's use. `inputs` in the order they were asked for.
  InputCommands(host::Loop& loop, const Life& life, std::vector<virtio::Input*> inputs);
  /// This object outlives the table.
  void add_commands(api::Commands& commands);

 private:
  struct Sent {
    virtio::Input* to;
    virtio::input::Event event;
  };
  struct Stroke {
    std::vector<u16> keys;
    u64 hold_ns = 0;
  };
  api::Answer send_events(const api::Arguments& arguments);
  api::Answer send_keys(const api::Arguments& arguments);
  /// The events of one of QMP's: none for a wheel's button that is let go. An error's text otherwise.
  std::expected<std::vector<Sent>, std::string> events_of(const api::Json& event) const;
  virtio::Input* first_with(u16 type, bool keyboard) const;
  void next_step();

  const Life& life_;
  const std::vector<virtio::Input*> inputs_;
  std::deque<Stroke> strokes_;  ///< the first one's keys are down, if any are
  bool down_ = false;
  std::unique_ptr<host::Loop::Timer> timer_;
};

}  // namespace vireo::vmm
