#include "virtio/input/input.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  if (size < 1) return 0;
  virtio::Input* input = nullptr;
  fuzz::play(
      {data + 1, size - 1},
      [&] {
        auto made = std::make_unique<virtio::Input>(static_cast<virtio::InputKind>(data[0] % 3));
        input = made.get();
        return made;
      },
      [&](u8 byte) {
        const std::vector<virtio::input::Event> events(byte & 31, {virtio::input::EV_KEY, byte, 1});
        input->report(events);
      });
  return 0;
}
