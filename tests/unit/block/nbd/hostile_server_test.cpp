// What a server may not say.
#include <gtest/gtest.h>

#include <array>

#include "base/bytes.h"
#include "block/nbd/negotiation.h"
#include "block/nbd/replies.h"

namespace vireo::block::nbd {
namespace {

class Bytes {
 public:
  template <class T>
  Bytes& put(T value) {
    bytes_.resize(bytes_.size() + sizeof(T));
    store_be(bytes_.data() + bytes_.size() - sizeof(T), value);
    return *this;
  }
  Bytes& fill(std::size_t count, u8 value) {
    bytes_.insert(bytes_.end(), count, value);
    return *this;
  }
  std::vector<u8> bytes() const { return bytes_; }

 private:
  std::vector<u8> bytes_;
};

Bytes greeting() {
  return Bytes().put(kNbdMagic).put(kIHaveOpt).put(static_cast<u16>(NBD_FLAG_FIXED_NEWSTYLE | NBD_FLAG_NO_ZEROES));
}
Bytes& answer(Bytes& bytes, Option option, OptionReply type, u32 length = 0) {
  return bytes.put(kOptionReplyMagic).put(u32{option}).put(u32{type}).put(length);
}
Bytes& export_information(Bytes& bytes, u64 size) {
  return answer(bytes, NBD_OPT_GO, NBD_REP_INFO, 12).put(u16{NBD_INFO_EXPORT}).put(size).put(u16{NBD_FLAG_HAS_FLAGS});
}
Bytes& block_sizes(Bytes& bytes, u32 minimum, u32 maximum) {
  return answer(bytes, NBD_OPT_GO, NBD_REP_INFO, 14)
      .put(u16{NBD_INFO_BLOCK_SIZE})
      .put(minimum)
      .put(u32{4096})
      .put(maximum);
}

using State = Negotiation::State;

Result<State> talk(const Bytes& server, bool tls = false) {
  Negotiation negotiation("disk", tls);
  auto bytes = server.bytes();
  return negotiation.feed(bytes);
}

TEST(ANegotiation, EndsWithWhatTheServerSaysOfTheExport) {
  auto server = greeting();
  answer(server, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
  export_information(server, 12345);
  block_sizes(server, 512, 1000);
  answer(server, NBD_OPT_GO, NBD_REP_ACK).put(u32{0xABCD});
  Negotiation negotiation("disk", false);
  std::vector<u8> received;
  const auto bytes = server.bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    received.push_back(bytes[i]);
    const auto state = negotiation.feed(received);
    ASSERT_TRUE(state) << state.error().message;
    EXPECT_EQ(*state == State::Done, i + 1 >= bytes.size() - 4) << i;
  }
  EXPECT_EQ(received.size(), 4u);  // what comes after it is not its
  EXPECT_EQ(negotiation.found().size, 12345u);
  EXPECT_EQ(negotiation.found().minimum_block, 512u);
  EXPECT_EQ(negotiation.found().maximum_payload, 512u);
  EXPECT_TRUE(negotiation.found().structured);
}

TEST(ANegotiation, RefusesWhatIsNoServerOrTooOld) {
  EXPECT_EQ(talk(Bytes().fill(18, 'x')).error().kind, ErrorKind::Usage);
  EXPECT_EQ(talk(Bytes().put(kNbdMagic).put(kOldMagic).put(u16{0})).error().kind, ErrorKind::Usage);
  EXPECT_EQ(talk(Bytes().put(kNbdMagic).put(kIHaveOpt).put(u16{0})).error().kind, ErrorKind::Usage);
}

TEST(ANegotiation, RefusesAnswersThatAreTooLongTooManyOrToNothing) {
  auto longer = greeting();
  answer(longer, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK, 65537);
  EXPECT_FALSE(talk(longer));
  auto wrong = greeting();
  answer(wrong, NBD_OPT_GO, NBD_REP_ACK);
  EXPECT_FALSE(talk(wrong));
  auto many = greeting();
  answer(many, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
  for (int i = 0; i < 70; ++i) export_information(many, 1);
  EXPECT_FALSE(talk(many));
}

TEST(ANegotiation, RefusesSizesThatCannotBe) {
  const auto with = [](u64 size, u32 minimum, u32 maximum) {
    auto server = greeting();
    answer(server, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ERR_UNSUP);
    export_information(server, size);
    block_sizes(server, minimum, maximum);
    answer(server, NBD_OPT_GO, NBD_REP_ACK);
    return talk(server);
  };
  EXPECT_TRUE(with(4096, 1, 4096));
  EXPECT_FALSE(with(~u64{0}, 1, 4096));
  EXPECT_FALSE(with(4096, 0, 4096));
  EXPECT_FALSE(with(4096, 3, 4096));
  EXPECT_FALSE(with(4096, 4096, 512));
  EXPECT_FALSE(with(4096, 1u << 20, 1u << 20));
  auto silent = greeting();
  answer(silent, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
  answer(silent, NBD_OPT_GO, NBD_REP_ACK);
  EXPECT_FALSE(talk(silent));
}

TEST(ANegotiation, TakesNothingInTheClearForTls) {
  auto server = greeting();
  answer(server, NBD_OPT_STARTTLS, NBD_REP_ACK);
  EXPECT_EQ(talk(server, true), State::Secure);
  answer(server, NBD_OPT_STRUCTURED_REPLY, NBD_REP_ACK);
  EXPECT_FALSE(talk(server, true));
  auto refusing = greeting();
  answer(refusing, NBD_OPT_STARTTLS, NBD_REP_ERR_UNSUP);
  EXPECT_EQ(talk(refusing, true).error().kind, ErrorKind::Denied);
}

/// One request of 8 bytes at 100, whose cookie is 5.
struct OneRequest : testing::Test, Replies::Requests {
  Awaited* find(u64 cookie) override { return cookie == 5 && !ended ? &awaited : nullptr; }
  void replied(u64) override { ended = true; }
  void SetUp() override {
    awaited.offset = 100;
    awaited.length = 8;
    awaited.memory = pieces;
  }
  static Bytes chunk(ReplyType type, u32 length, bool last = true, u64 cookie = 5) {
    return Bytes()
        .put(kStructuredReplyMagic)
        .put(static_cast<u16>(last ? 1 : 0))
        .put(u16{type})
        .put(cookie)
        .put(length);
  }
  static Bytes data(u64 offset, u32 count, bool last) {
    return chunk(NBD_REPLY_TYPE_OFFSET_DATA, 8 + count, last).put(offset).fill(count, 7);
  }
  bool feed(const Bytes& bytes) { return replies.feed(bytes.bytes()); }

  Awaited awaited;
  bool ended = false;
  std::array<u8, 8> memory{1, 1, 1, 1, 1, 1, 1, 1};
  std::array<iovec, 2> pieces{iovec{memory.data(), 3}, iovec{memory.data() + 3, 5}};
  Replies replies{*this, true};
};

TEST_F(OneRequest, IsAnsweredInChunksOfAnyOrder) {
  EXPECT_TRUE(feed(data(104, 4, false)));
  EXPECT_FALSE(ended);
  EXPECT_TRUE(feed(chunk(NBD_REPLY_TYPE_OFFSET_HOLE, 12).put(u64{100}).put(u32{4})));
  EXPECT_TRUE(ended);
  EXPECT_EQ(memory, (std::array<u8, 8>{0, 0, 0, 0, 7, 7, 7, 7}));
}

TEST_F(OneRequest, DoesNotEndWellWithoutAllItsData) {
  EXPECT_FALSE(feed(data(100, 4, true)));
  EXPECT_FALSE(ended);
}

TEST_F(OneRequest, TakesNoMoreThanItAskedFor) {
  EXPECT_TRUE(feed(data(100, 8, false)));
  EXPECT_FALSE(feed(data(100, 1, false)));
}

TEST_F(OneRequest, TakesNothingFromOutsideItsRange) {
  for (const auto& [offset, count] : {std::pair<u64, u32>{99, 4}, {101, 8}, {108, 1}, {~u64{0}, 1}, {0, 8}}) {
    Replies anew(*this, true);
    EXPECT_FALSE(anew.feed(data(offset, count, false).bytes())) << offset;
    EXPECT_FALSE(anew.feed(chunk(NBD_REPLY_TYPE_OFFSET_HOLE, 12).put(offset).put(count).bytes())) << offset;
  }
  EXPECT_EQ(memory, (std::array<u8, 8>{1, 1, 1, 1, 1, 1, 1, 1}));
}

TEST_F(OneRequest, IsNotAnsweredForAnotherNorTwice) {
  EXPECT_FALSE(feed(chunk(NBD_REPLY_TYPE_NONE, 0, true, 6)));
  Replies anew(*this, true);
  EXPECT_TRUE(anew.feed(data(100, 8, true).bytes()));
  EXPECT_TRUE(ended);
  EXPECT_FALSE(anew.feed(data(100, 8, true).bytes()));
}

TEST_F(OneRequest, FailsWithTheErrorThatTheServerNames) {
  EXPECT_TRUE(feed(chunk(NBD_REPLY_TYPE_ERROR, 8).put(u32{NBD_ENOSPC}).put(u16{2}).put(u16{0x6869})));
  EXPECT_TRUE(ended);
  EXPECT_EQ(awaited.error, NBD_ENOSPC);
}

TEST_F(OneRequest, IsNotAnsweredBySimpleDataWhereStructuredRepliesWereAgreed) {
  EXPECT_FALSE(feed(Bytes().put(kSimpleReplyMagic).put(u32{0}).put(u64{5}).fill(8, 7)));
  Replies simple(*this, false);
  EXPECT_TRUE(simple.feed(Bytes().put(kSimpleReplyMagic).put(u32{0}).put(u64{5}).fill(8, 9).bytes()));
  EXPECT_TRUE(ended);
  EXPECT_EQ(memory, (std::array<u8, 8>{9, 9, 9, 9, 9, 9, 9, 9}));
}

}  // namespace
}  // namespace vireo::block::nbd
