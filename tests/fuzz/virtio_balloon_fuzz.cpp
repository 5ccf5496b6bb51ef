#include "virtio/balloon/balloon.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  virtio::Balloon* balloon = nullptr;
  fuzz::play(
      {data, size},
      [&] {
        auto made = std::make_unique<virtio::Balloon>();
        balloon = made.get();
        return made;
      },
      [&](u8 byte) {
        balloon->set_target(u64{byte} << 12);
        static_cast<void>(balloon->ask_for_stats());
      });
  return 0;
}
