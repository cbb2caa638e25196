// What graphql-js makes of a request before it would execute it.
import { GraphQLError, Source, getOperationAST, parse, specifiedRules, validate } from 'graphql';
import { getVariableValues } from 'graphql/execution/values.js';

/** Words that differ from document to document are left out, so that messages fall into kinds. */
export function kindOf(message) {
  return message
    .replace(/"[^"]*"(\.)?/g, '…$1')
    .replace(/\$\w+/g, '$…')
    .replace(/(; ).*$/s, '')
    .replace(/ Did you mean .*$/s, '')
    .replace(/\d+/g, '#')
    .replace(/(…(, | and )?)+/g, '…')
    .slice(0, 140);
}

function refused(stage, message, extra = {}) {
  return { valid: false, stage, message, kind: `${stage}: ${kindOf(message)}`, ...extra };
}

/** The verdict on a request's body: valid with the operation and its variables, or the reason against it. */
export function judge(schema, body) {
  let document;
  try {
    document = parse(new Source(body.query));
  } catch (error) {
    if (!(error instanceof GraphQLError)) throw error;
    return refused('syntax', error.message);
  }
  let errors;
  try {
    errors = validate(schema, document);
  } catch (error) {
    // Its rule on subscriptions reads @skip and @include before anything says that they are sound.
    if (!(error instanceof GraphQLError)) throw error;
    return refused('validation', error.message, { document });
  }
  if (errors.length > 0) {
    const rule = specifiedRules.find((one) => validate(schema, document, [one]).length > 0);
    return { ...refused('validation', errors[0].message, { document }), kind: `validation: ${rule?.name.replace(/Rule$/, '')}` };
  }
  const operation = getOperationAST(document, body.operationName);
  if (!operation) return refused('operation', body.operationName == null ? 'none or several and no name' : 'no operation of this name', { document });
  const { variables } = body;
  if (variables != null && (typeof variables !== 'object' || Array.isArray(variables))) return refused('variables', 'not an object', { document });
  const coerced = getVariableValues(schema, operation.variableDefinitions ?? [], variables ?? {});
  if (coerced.errors) return refused('variables', coerced.errors[0].message.replace(/^Variable .* got invalid value .*?; /s, ''), { document });
  return { valid: true, document, operation, variables: coerced.coerced };
}
