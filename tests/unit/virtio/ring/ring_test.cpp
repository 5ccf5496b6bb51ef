#include "virtio/ring/ring.h"

#include <gtest/gtest.h>

#include <random>
#include <tuple>

#include "base/bytes.h"
#include "support/ring_driver.h"

namespace vireo::virtio {
namespace {

using test::Piece;
using test::RingDriver;
using Popped = Ring::Popped;

constexpr u64 kRing = 0x10000, kData = 0x40000, kTable = 0x30000;

vm::GuestMemory make_memory() {
  return *vm::GuestMemory::create(
      {{.gpa = 0, .size = 0x100000, .offset = 0}, {.gpa = 0x200000, .size = 0x100000, .offset = 0x100000}});
}

/// Both kinds of ring, with and without event indices.
class BothRings : public testing::TestWithParam<std::tuple<bool, bool>> {
 protected:
  u64 features() const {
    return feature::VERSION_1 | feature::INDIRECT_DESC | (std::get<0>(GetParam()) ? feature::RING_PACKED : 0) |
           (std::get<1>(GetParam()) ? feature::EVENT_IDX : 0);
  }
  bool packed() const { return std::get<0>(GetParam()); }
  u8* at(u64 gpa) { return memory.at(gpa, 1); }
  bool push(const Chain& popped, u32 written) { return ring->push(std::array{Used(popped, written)}); }

  vm::GuestMemory memory = make_memory();
  RingDriver driver{memory, kRing, 8, features()};
  std::unique_ptr<Ring> ring = make_ring(memory, driver.place(), features(), {});
  Chain chain;
};

TEST_P(BothRings, ChainsArriveInOrderWithTheirPieces) {
  EXPECT_EQ(ring->pop(chain), Popped::Nothing);
  const u16 first = driver.add({{kData, 16}, {kData + 0x100, 32}, {kData + 0x200, 64, true}});
  const u16 second = driver.add({{0x200000, 4096, true}});
  ASSERT_EQ(ring->pop(chain), Popped::Chain);
  EXPECT_EQ(chain.id, first);
  EXPECT_EQ(chain.readable.size(), 48u);
  ASSERT_EQ(chain.readable.iovecs().size(), 2u);
  EXPECT_EQ(chain.readable.iovecs()[1].iov_base, at(kData + 0x100));
  EXPECT_EQ(chain.writable.size(), 64u);
  ASSERT_EQ(ring->pop(chain), Popped::Chain);
  EXPECT_EQ(chain.id, second);
  EXPECT_EQ(chain.readable.size(), 0u);
  EXPECT_EQ(chain.writable.iovecs()[0].iov_base, at(0x200000));
  EXPECT_EQ(ring->pop(chain), Popped::Nothing);
}

TEST_P(BothRings, UsedChainsComeBackInAnyOrder) {
  Chain a, b;
  const u16 first = driver.add({{kData, 16}, {kData, 16, true}});
  const u16 second = driver.add({{kData, 16, true}});
  ring->pop(a);
  ring->pop(b);
  EXPECT_NE(ring->out(), 0u);
  push(b, 7);
  EXPECT_EQ(driver.take_used(), (RingDriver::Used{second, 7}));
  EXPECT_EQ(driver.take_used(), std::nullopt);
  push(a, 0);
  EXPECT_EQ(driver.take_used(), (RingDriver::Used{first, 0}));
  EXPECT_EQ(driver.free(), 8u);
  EXPECT_EQ(ring->out(), 0u);
}

TEST_P(BothRings, SeveralAreGivenBackAtOnce) {
  Chain a, b;
  const u16 first = driver.add({{kData, 16}, {kData, 16}, {kData, 16, true}});
  const u16 second = driver.add({{kData, 16}, {kData, 16, true}});
  ring->pop(a);
  ring->pop(b);
  ring->push(std::array{Used(a, 3), Used(b, 5)});
  EXPECT_EQ(driver.take_used(), (RingDriver::Used{first, 3}));
  EXPECT_EQ(driver.take_used(), (RingDriver::Used{second, 5}));
}

TEST_P(BothRings, IndirectTablesAreFollowed) {
  const u16 id = driver.add({{kData, 16}, {kData + 16, 16}, {kData + 32, 16, true}, {kData + 64, 1, true}}, kTable + 8);
  ASSERT_EQ(ring->pop(chain), Popped::Chain);
  EXPECT_EQ(chain.id, id);
  EXPECT_EQ(chain.readable.size(), 32u);
  EXPECT_EQ(chain.writable.size(), 17u);
  push(chain, 17);
  EXPECT_EQ(driver.take_used(), (RingDriver::Used{id, 17}));
  EXPECT_EQ(driver.free(), 8u);
}

TEST_P(BothRings, AnUndoneChainIsPoppedAgain) {
  driver.add({{kData, 1}, {kData, 1}, {kData, 1}});
  const u16 second = driver.add({{kData, 1}, {kData, 1}, {kData, 1}});
  ring->pop(chain);
  push(chain, 0);
  driver.take_used();
  const u16 third = driver.add({{kData, 2}, {kData, 1}, {kData, 1}, {kData, 1}});  // wraps
  Chain a, b;
  ring->pop(a);
  ring->pop(b);
  ring->undo(b);
  ring->undo(a);
  EXPECT_EQ(ring->out(), 0u);
  ASSERT_EQ(ring->pop(chain), Popped::Chain);
  EXPECT_EQ(chain.id, second);
  ASSERT_EQ(ring->pop(b), Popped::Chain);
  EXPECT_EQ(b.id, third);
  push(chain, 0);
  push(b, 0);
  EXPECT_EQ(driver.take_used()->id, second);
  EXPECT_EQ(driver.take_used()->id, third);
}

TEST_P(BothRings, PositionIsWhereAnotherRingGoesOn) {
  for (unsigned round = 0; round < 5; ++round) {
    driver.add({{kData, 1}, {kData, 1}, {kData, 1}});
    ASSERT_EQ(ring->pop(chain), Popped::Chain) << round;
    push(chain, round);
    ASSERT_EQ(driver.take_used()->written, round);
    ring = make_ring(memory, driver.place(), features(), ring->position());
    ASSERT_TRUE(ring);
  }
}

TEST_P(BothRings, DriverIsInterruptedAsItWishes) {
  const auto use_one = [&] {
    driver.add({{kData, 1, true}});
    ring->pop(chain);
    return push(chain, 1);
  };
  driver.want_interrupts(true);
  EXPECT_TRUE(use_one());
  driver.take_used();
  driver.want_interrupts(false);
  for (unsigned i = 0; i < 7; ++i) {
    EXPECT_FALSE(use_one());
    driver.take_used();
  }
  if ((features() & feature::EVENT_IDX) == 0) return;
  for (unsigned round = 0; round < 30; ++round) {
    driver.want_interrupts(true, 3);
    for (const bool interrupt : {false, false, false, true}) EXPECT_EQ(use_one(), interrupt) << round;
    while (driver.take_used()) {
    }
  }
}

TEST_P(BothRings, DriverNeedNotNotifyWhileTheDeviceLooks) {
  driver.add({{kData, 1}});
  EXPECT_TRUE(driver.must_notify());
  ring->disable_notifications();
  ring->pop(chain);
  push(chain, 0);
  driver.add({{kData, 1}});
  EXPECT_FALSE(driver.must_notify());
  EXPECT_FALSE(ring->enable_notifications());  // something came meanwhile
  ring->disable_notifications();
  ring->pop(chain);
  push(chain, 0);
  EXPECT_TRUE(ring->enable_notifications());
  driver.take_used(), driver.take_used();
  driver.add({{kData, 1}});
  EXPECT_TRUE(driver.must_notify());
}

TEST_P(BothRings, WritesOfTheDeviceAreSeenByCodeCaches) {
  const auto changed = [&](u64 gpa, auto write) {
    memory.enter_code(gpa);
    const u32 before = memory.generation(gpa);
    write();
    return memory.generation(gpa) != before;
  };
  driver.add({{kData, 64, true}});
  ring->pop(chain);
  EXPECT_TRUE(changed(kData, [&] { chain.writable.put(memory, "code", 4); }));
  EXPECT_TRUE(changed(packed() ? kRing : driver.place().device, [&] { push(chain, 4); }));
  EXPECT_TRUE(changed(driver.place().device, [&] { ring->disable_notifications(), ring->enable_notifications(); }));
}

// ---- A driver that breaks the rules

TEST_P(BothRings, BrokenChainsAreNotTaken) {
  const auto broken = [&](std::initializer_list<Piece> pieces, u64 table = 0) {
    RingDriver bad(memory, kRing, 8, features());
    auto fresh = make_ring(memory, bad.place(), features(), {});
    bad.add(pieces, table);
    return fresh->pop(chain) == Popped::Broken;
  };
  EXPECT_TRUE(broken({{0x100000, 1}}));    // no RAM
  EXPECT_TRUE(broken({{0xFFFF0, 0x20}}));  // leaves it
  EXPECT_TRUE(broken({{~u64{0}, 1}}));     // wraps around
  EXPECT_TRUE(broken({{0xFFFFFFFFFFFFFFF0, 0x20, true}}));
  EXPECT_TRUE(broken({{kData, 0xFFFFFFFF}}));
  EXPECT_TRUE(broken({{kData, 1, true}, {kData, 1}}));     // readable after writable
  EXPECT_TRUE(broken({{kData, 1}}, 0x100000));             // a table that is not in RAM
  EXPECT_TRUE(broken({{kData, 1}, {kData, 1}}, 0xFFFF0));  // one that leaves it
  EXPECT_FALSE(broken({{kData, 0}, {kData, 1}}));          // empty pieces are allowed
}

TEST_P(BothRings, TablesThatCannotBeAreNotTaken) {
  const auto broken = [&](u32 length, u16 flags, u16 ring_flags = desc::INDIRECT) {
    RingDriver bad(memory, kRing, 8, features());
    auto fresh = make_ring(memory, bad.place(), features(), {});
    bad.add({{kData, 1}, {kData, 1}}, kTable);
    const u64 flag_offset = packed() ? packed::DescFlags : split::DescFlags;
    u8* ring_descriptor = at(kRing + (packed() ? 0 : 16 * load<u16>(at(bad.place().driver + 4))));
    store(ring_descriptor + kDescriptorLen, length);
    store(ring_descriptor + flag_offset, static_cast<u16>(ring_flags | (packed() ? desc::AVAIL : 0)));
    store(at(kTable) + flag_offset, flags);
    return fresh->pop(chain) == Popped::Broken;
  };
  EXPECT_FALSE(broken(32, desc::NEXT));
  EXPECT_TRUE(broken(0, 0));
  EXPECT_TRUE(broken(24, 0));
  EXPECT_TRUE(broken(16 * (kMaxIndirect + 1), 0));
  EXPECT_TRUE(broken(32, desc::INDIRECT));  // a table in a table
  EXPECT_TRUE(broken(32, 0, desc::INDIRECT | desc::NEXT));
}

TEST_P(BothRings, IndirectTablesNeedTheFeature) {
  const u64 without = features() & ~feature::INDIRECT_DESC;
  ring = make_ring(memory, driver.place(), without, {});
  driver.add({{kData, 1}}, kTable);
  EXPECT_EQ(ring->pop(chain), Popped::Broken);
}

TEST_P(BothRings, ADriverHasNoMoreOutThanTheRingHolds) {
  for (unsigned i = 0; i < 8; ++i) {
    driver.add({{kData, 1}});
    ASSERT_EQ(ring->pop(chain), Popped::Chain);
  }
  if (packed()) {  // all slots look available once more
    for (unsigned i = 0; i < 8; ++i) store(at(kRing + 16 * i + packed::DescFlags), desc::USED);
  } else {
    store(at(driver.place().driver + split::Idx), u16{9});
  }
  EXPECT_EQ(ring->pop(chain), Popped::Broken);
}

TEST_P(BothRings, PlacesThatCannotBeAreRefused) {
  const auto refused = [&](auto spoil) {
    auto place = driver.place();
    spoil(place);
    return make_ring(memory, place, features(), {}) == nullptr;
  };
  EXPECT_FALSE(refused([](RingPlace&) {}));
  EXPECT_TRUE(refused([](RingPlace& p) { p.size = 0; }));
  EXPECT_TRUE(refused([](RingPlace& p) { p.size = 32769; }));
  EXPECT_EQ(refused([](RingPlace& p) { p.size = 6; }), !packed());
  EXPECT_TRUE(refused([](RingPlace& p) { p.descriptor += 8; }));
  EXPECT_TRUE(refused([](RingPlace& p) { p.driver += 1; }));
  EXPECT_TRUE(refused([](RingPlace& p) { p.device += 2; }));
  EXPECT_TRUE(refused([](RingPlace& p) { p.descriptor = 0x100000 - 64; }));
  EXPECT_TRUE(refused([](RingPlace& p) { p.driver = 0x100000; }));
  EXPECT_TRUE(refused([](RingPlace& p) { p.device = ~u64{0} - 3; }));
}

TEST_P(BothRings, RandomWorkLosesAndInventsNothing) {
  std::mt19937 random(7);
  std::map<u16, u32> expected;  // by id: the length of what was added
  std::vector<Chain> out;
  u64 done = 0;
  for (unsigned step = 0; step < 20000; ++step) {
    switch (random() % 4) {
      case 0: {
        std::vector<Piece> pieces;
        const unsigned count = 1 + random() % 4;
        u32 length = 0;
        for (unsigned i = 0; i < count; ++i) {
          pieces.push_back({kData + random() % 0x1000, 1 + static_cast<u32>(random() % 100), i * 2 >= count});
          length += pieces.back().length;
        }
        const bool indirect = random() % 2 == 0;
        if (driver.free() < (indirect ? 1 : count)) break;
        const u16 id = driver.add(pieces, indirect ? kTable + 0x100 * (driver.free() % 8) : 0);
        ASSERT_FALSE(expected.contains(id));
        expected[id] = length;
        // The device sees a table before the next one takes its place.
        Chain taken;
        if (ring->pop(taken) == Popped::Chain) out.push_back(taken);
        break;
      }
      case 1:
      case 2: {
        if (out.empty()) break;
        const std::size_t which = random() % out.size();
        const auto& one = out[which];
        push(one, static_cast<u32>(one.readable.size() + one.writable.size()));
        out.erase(out.begin() + static_cast<std::ptrdiff_t>(which));
        break;
      }
      default:
        while (const auto used = driver.take_used()) {
          ASSERT_EQ(used->written, expected.at(used->id));
          expected.erase(used->id);
          ++done;
        }
    }
  }
  EXPECT_GT(done, 1000u);
}

INSTANTIATE_TEST_SUITE_P(All, BothRings, testing::Combine(testing::Bool(), testing::Bool()), [](const auto& kind) {
  return std::string(std::get<0>(kind.param) ? "Packed" : "Split") + (std::get<1>(kind.param) ? "WithEvents" : "");
});

TEST(SplitRing, LoopsOfDescriptorsEnd) {
  auto memory = make_memory();
  RingDriver driver(memory, kRing, 8, 0);
  auto ring = make_ring(memory, driver.place(), 0, {});
  Chain chain;
  driver.add({{kData, 1}, {kData, 1}});
  for (unsigned i = 0; i < 8; ++i) {
    store(memory.at(kRing + 16 * i, 16) + split::DescFlags, desc::NEXT);
    store(memory.at(kRing + 16 * i, 16) + split::DescNext, static_cast<u16>((i + 1) % 8));
  }
  EXPECT_EQ(ring->pop(chain), Popped::Broken);
  store(memory.at(kRing, 16) + split::DescNext, u16{8});  // no such descriptor
  EXPECT_EQ(ring->pop(chain), Popped::Broken);
}

TEST(SplitRing, HeadsAndIndicesOutOfRangeAreNotTaken) {
  auto memory = make_memory();
  RingDriver driver(memory, kRing, 8, 0);
  auto ring = make_ring(memory, driver.place(), 0, {});
  Chain chain;
  driver.add({{kData, 1}});
  store(memory.at(driver.place().driver + split::RingStart, 2), u16{8});
  EXPECT_EQ(ring->pop(chain), Popped::Broken);
  store(memory.at(driver.place().driver + split::RingStart, 2), u16{7});
  store(memory.at(driver.place().driver + split::Idx, 2), u16{9});
  EXPECT_EQ(ring->pop(chain), Popped::Broken);
}

TEST(Pieces, AreCopiedAcrossTheirBorders) {
  auto memory = make_memory();
  Pieces pieces;
  pieces.append(memory.at(kData, 3), 3);
  pieces.append(memory.at(kData + 0x1000, 2), 2);
  pieces.append(memory.at(kData + 0x2000, 4), 4);
  EXPECT_EQ(pieces.take_last(), memory.at(kData + 0x2003, 1));
  EXPECT_TRUE(pieces.put(memory, "abcd", 4));
  EXPECT_EQ(pieces.size(), 4u);
  EXPECT_FALSE(pieces.put(memory, "wxyz!", 5));
  EXPECT_EQ(0, std::memcmp(memory.at(kData, 3), "abc", 3));
  EXPECT_EQ(*memory.at(kData + 0x1000, 1), 'd');
  *memory.at(kData + 0x1001, 1) = 'e';
  char text[5] = {};
  EXPECT_TRUE(pieces.take(text, 2));
  EXPECT_EQ(text[0], 'e');
  pieces.drop(1);
  EXPECT_EQ(pieces.iovecs()[0].iov_base, memory.at(kData + 0x2002, 1));
  pieces.drop(100);
  EXPECT_EQ(pieces.size(), 0u);
  EXPECT_EQ(pieces.take_last(), nullptr);
}

}  // namespace
}  // namespace vireo::virtio
