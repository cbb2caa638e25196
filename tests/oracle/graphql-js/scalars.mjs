// What Docket's own scalars take and give: api/src/graphql/scalars.rs in other words.
import { GraphQLError, Kind } from 'graphql';

const INSTANT = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/;
const [EARLIEST, LATEST] = [Date.UTC(1900, 0, 1), Date.UTC(2200, 0, 1)];

function dateTime(text) {
  const parts = INSTANT.exec(String(text).trim());
  const at = parts && Date.parse(parts[0].replace(/(\.\d{3})\d+/, '$1'));
  const [month, day] = parts ? [Number(parts[2]), Number(parts[3])] : [];
  const exists = parts && day <= new Date(Date.UTC(Number(parts[1]), month, 0)).getUTCDate();
  if (!exists || Number.isNaN(at) || at < EARLIEST || at > LATEST) throw new GraphQLError('not an instant in RFC 3339 from 1900 to 2200');
  return text;
}

function bigInt(text) {
  if (!/^\+?\d+$/.test(text) || BigInt(text.replace('+', '')) >= 1n << 64n) throw new GraphQLError('not a whole number of 64 bits');
  return text;
}

function strings(read) {
  return {
    parseValue: (value) => {
      if (typeof value !== 'string') throw new GraphQLError('not a string');
      return read(value);
    },
    parseLiteral: (node) => {
      if (node.kind !== Kind.STRING) throw new GraphQLError('not a string');
      return read(node.value);
    },
  };
}

const taken = {
  DateTime: strings(dateTime),
  BigInt: {
    parseValue: (value) => {
      if (typeof value === 'string') return bigInt(value);
      if (!Number.isInteger(value) || value < 0) throw new GraphQLError('not a whole number of 64 bits');
      return value;
    },
    parseLiteral: (node) => {
      if (node.kind !== Kind.STRING && node.kind !== Kind.INT) throw new GraphQLError('not a whole number of 64 bits');
      return bigInt(node.value);
    },
  },
};

const given = {
  DateTime: (value) => typeof value === 'string' && /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/.test(value),
  BigInt: (value) => typeof value === 'string' && /^\d+$/.test(value),
  Duration: (value) => typeof value === 'string' && /^-?P(?=.)(\d+D)?(T(?=.)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?$/.test(value),
  JSON: () => true,
  Int: (value) => Number.isInteger(value) && value >= -(2 ** 31) && value < 2 ** 31,
  Float: (value) => typeof value === 'number',
  String: (value) => typeof value === 'string',
  ID: (value) => typeof value === 'string',
  Boolean: (value) => typeof value === 'boolean',
};

/** Puts the rules for input on the scalars of a schema that was built from its text. */
export function teach(schema) {
  for (const [name, rules] of Object.entries(taken)) Object.assign(schema.getType(name), rules);
}

/** True when an answer may have this value for this scalar. */
export function isGiven(scalar, value) {
  const rule = given[scalar];
  if (!rule) throw new Error(`no rule says what the scalar ${scalar} looks like in answers`);
  return rule(value);
}
