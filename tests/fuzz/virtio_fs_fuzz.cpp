#include "support/fake_vhost.h"
#include "virtio/fs/fs.h"
#include "virtio_ops.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  test::FakeVhost backend;
  fuzz::play(
      {data, size}, [&] { return std::make_unique<virtio::Fs>("share", backend); },
      [&](u8 byte) {
        switch (byte >> 6) {
          case 0:
            if (!backend.taken.empty()) backend.finish(byte % backend.taken.size(), 100u * byte, byte);
            break;
          case 1:
            backend.tell(byte & 1);
            break;
          case 2:
            backend.room = byte & 7;
            break;
          default:
            if (byte == 0xFF) backend.lose();
            if (byte == 0xFE) backend.hangs = true;
        }
      });
  return 0;
}
