#include "net/socket/framing.h"

#include <gtest/gtest.h>

#include "unit/net/frames.h"

using namespace vireo;
using namespace vireo::test;

TEST(Framing, finds_the_frames_however_the_stream_is_cut) {
  const std::vector<Bytes> frames = {Bytes(14, 1), Bytes(60, 2), Bytes(net::kMaxFrame, 3), Bytes(1514, 4)};
  Bytes stream;
  for (const auto& frame : frames) net::append_framed(stream, frame);
  for (const std::size_t step :
       {std::size_t{1}, std::size_t{3}, std::size_t{1000}, std::size_t{70'000}, stream.size()}) {
    net::FrameReader reader;
    std::vector<Bytes> found;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      EXPECT_TRUE(reader.feed(std::span<const u8>(stream).subspan(at, std::min(step, stream.size() - at)),
                              [&](std::span<const u8> frame) { found.emplace_back(frame.begin(), frame.end()); }));
    }
    EXPECT_EQ(found, frames) << "step " << step;
  }
}

TEST(Framing, refuses_a_length_that_no_frame_has_and_skips_what_is_too_short) {
  int found = 0;
  const auto count = [&](std::span<const u8>) { ++found; };
  net::FrameReader reader;
  EXPECT_TRUE(reader.feed(Bytes{0, 0, 0, 0, 0, 0, 0, 2, 9, 9}, count));
  EXPECT_EQ(found, 0);
  EXPECT_FALSE(reader.feed(Bytes{0, 1, 0x10, 0}, count));
  net::FrameReader slow;
  EXPECT_TRUE(slow.feed(Bytes{0xFF}, count));
  EXPECT_FALSE(slow.feed(Bytes{0xFF, 0xFF, 0xFF}, count));
}
