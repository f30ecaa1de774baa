import { streamHandle } from 'hono/aws-lambda';
import { app } from './registry.mjs';

/** For a function URL whose invoke mode is RESPONSE_STREAM. */
export const handler = streamHandle(app);
