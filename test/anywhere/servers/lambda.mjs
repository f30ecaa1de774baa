import { handle } from 'hono/aws-lambda';
import { app } from './registry.mjs';

export const handler = handle(app);
