// A seeded generator of numbers (sfc32).

export class Random {
  constructor(...seeds) {
    [this.a, this.b, this.c, this.d] = [0x9e3779b9, ...seeds.map((seed) => seed >>> 0), 0x243f6a88, 0xb7e15162].slice(0, 4);
    for (let n = 0; n < 20; n += 1) this.next();
  }

  next() {
    const sum = (this.a + this.b + this.d) >>> 0;
    this.d = (this.d + 1) >>> 0;
    this.a = (this.b ^ (this.b >>> 9)) >>> 0;
    this.b = (this.c + (this.c << 3)) >>> 0;
    this.c = (((this.c << 21) | (this.c >>> 11)) + sum) >>> 0;
    return sum / 2 ** 32;
  }

  /** A whole number below the end. */
  below(end) {
    return Math.floor(this.next() * end);
  }

  chance(probability) {
    return this.next() < probability;
  }

  pick(list) {
    return list[this.below(list.length)];
  }

  /** Some of a list, in random order. */
  some(list, count) {
    const left = [...list];
    const taken = [];
    while (taken.length < count && left.length > 0) taken.push(left.splice(this.below(left.length), 1)[0]);
    return taken;
  }
}
