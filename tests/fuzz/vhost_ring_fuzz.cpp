// What another process may write into a ring that it shares with a device.
#include <cstdlib>

#include "base/bytes.h"
#include "vhost/user/shared_ring.h"

extern "C" int LLVMFuzzerTestOneInput(const vireo::u8* data, std::size_t size) {
  using namespace vireo;
  using Ring = vhost::user::SharedRing;
  alignas(16) static u8 memory[Ring::kBytes];
  std::fill(std::begin(memory), std::end(memory), u8{0});
  Ring ring(memory);
  std::vector<u64> out(Ring::kSize);  ///< writable bytes and 1, by ticket that is on its way
  ByteReader in(std::span(data, size));
  while (in.remaining() != 0) {
    const u8 op = in.take<u8>();
    if (op % 4 == 0) {
      const std::vector<Ring::Piece> readable(in.take<u8>() % 4, {0x1000, 10}), writable(in.take<u8>(), {0x2000, 10});
      if (const auto ticket = ring.add(readable, writable)) {
        if (*ticket >= Ring::kSize || out[*ticket] != 0) std::abort();
        out[*ticket] = 1 + 10 * writable.size();
      }
    } else if (op % 4 == 1) {
      const auto done = ring.take();
      if (!done) continue;
      if (out[done->ticket] == 0 || done->written > out[done->ticket] - 1) std::abort();
      out[done->ticket] = 0;
    } else if (op % 4 == 2) {  // as it should be, or nearly
      u8* used = memory + Ring::kUsed;
      const u16 index = load<u16>(used + 2);
      store(used + 4 + 8 * (index % Ring::kSize), u32{in.take<u16>()} % (Ring::kSize + 8));
      store(used + 8 + 8 * (index % Ring::kSize), u32{in.take<u8>()});
      store(used + 2, static_cast<u16>(index + 1));
    } else {
      const u16 at = in.take<u16>();
      memory[at % Ring::kBytes] = in.take<u8>();
    }
  }
  return 0;
}
