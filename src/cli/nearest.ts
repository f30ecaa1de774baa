export { nearest } from '../protocol/nearest.ts';
