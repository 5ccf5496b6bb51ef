#include "chardev/ring/ring.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "chardev/api/null.h"

namespace vireo::chardev {
namespace {

std::span<const u8> bytes(std::string_view text) { return {reinterpret_cast<const u8*>(text.data()), text.size()}; }
std::string text(const LogRing::Piece& piece) { return {piece.bytes.begin(), piece.bytes.end()}; }

TEST(LogRing, KeepsWhatWasSaid) {
  LogRing ring;
  ring.append(bytes("hello "));
  ring.append(bytes("world"));
  const auto piece = ring.read(0, 100);
  EXPECT_EQ(text(piece), "hello world");
  EXPECT_EQ(piece.from, 0u);
  EXPECT_EQ(piece.end, 11u);
}

TEST(LogRing, AReaderGoesOnWhereItWas) {
  LogRing ring;
  ring.append(bytes("hello "));
  EXPECT_EQ(text(ring.read(0, 3)), "hel");
  ring.append(bytes("world"));
  EXPECT_EQ(text(ring.read(3, 100)), "lo world");
  EXPECT_EQ(text(ring.read(11, 100)), "");
  const auto future = ring.read(1000, 100);
  EXPECT_EQ(text(future), "");
  EXPECT_EQ(future.from, 11u);
}

TEST(LogRing, KeepsTheLastMebibyteAndTellsWhereItBegins) {
  LogRing ring;
  std::string all;
  for (int i = 0; all.size() < 3 * LogRing::kSize; ++i) {
    const auto line = fmt::format("line {}\n", i);
    ring.append(bytes(line));
    all += line;
  }
  const auto piece = ring.read(0, 2 * LogRing::kSize);
  EXPECT_EQ(piece.end, all.size());
  EXPECT_EQ(piece.from, all.size() - LogRing::kSize);
  EXPECT_TRUE(text(piece) == all.substr(piece.from));
}

TEST(LogRing, OneWriteMayBeLargerThanWhatIsKept) {
  LogRing ring;
  std::string large(LogRing::kSize + 5, 'x');
  large.front() = 'a';
  large.back() = 'z';
  ring.append(bytes("before"));
  ring.append(bytes(large));
  const auto piece = ring.read(0, 2 * LogRing::kSize);
  EXPECT_EQ(piece.from, 11u);
  EXPECT_TRUE(text(piece) == large.substr(5));
}

TEST(LoggedChannel, KeepsWhatGoesNowhere) {
  LoggedChannel channel(std::make_unique<NullChannel>());
  EXPECT_TRUE(channel.write(bytes("panic")));
  EXPECT_EQ(text(channel.log().read(0, 100)), "panic");
}

}  // namespace
}  // namespace vireo::chardev
